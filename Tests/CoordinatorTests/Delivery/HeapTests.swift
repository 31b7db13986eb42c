import Testing

@testable import Coordinator

@Suite struct HeapTests {
    @Test func anEmptyOneGivesNothing() {
        var heap = Heap<Int>()
        let removed = heap.removeFirst()
        let first = heap.first
        #expect(first == nil)
        #expect(removed == nil)
    }

    /// Every permutation of six numbers, equal ones among them, comes out sorted, also when taking out begins half way.
    @Test func comesOutInOrderWhateverTheOrderIn() {
        for permutation in Self.permutations([1, 2, 2, 3, 4, 5]) {
            var heap = Heap<Int>()
            for element in permutation.prefix(4) { heap.insert(element) }
            let least = permutation.prefix(4).min()
            let first = heap.first
            let removed = heap.removeFirst()
            #expect(first == least)
            #expect(removed == least)
            for element in permutation.suffix(2) { heap.insert(element) }
            var rest: [Int] = []
            while let element = heap.removeFirst() { rest.append(element) }
            #expect(rest == rest.sorted())
            #expect((rest + [least].compactMap(\.self)).sorted() == [1, 2, 2, 3, 4, 5])
        }
    }

    private static func permutations(_ elements: [Int]) -> [[Int]] {
        guard elements.count > 1 else { return [elements] }
        return elements.indices.flatMap { index -> [[Int]] in
            var others = elements
            let element = others.remove(at: index)
            return permutations(others).map { [element] + $0 }
        }
    }
}
