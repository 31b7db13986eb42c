/// A first-in, first-out queue whose removal from the head costs the same however long it is.
struct BoundedQueue<Element> {
    private var elements: [Element?] = []
    private var head = 0
    /// Those that have not left.
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ element: Element) {
        elements.append(element)
        count += 1
    }

    mutating func popFirst() -> Element? {
        while head < elements.count {
            let element = elements[head]
            elements[head] = nil
            head += 1
            if head > 64, head * 2 > elements.count {
                elements.removeFirst(head)
                head = 0
            }
            guard let element else { continue }
            count -= 1
            return element
        }
        return nil
    }

    /// Takes the first one out that is meant, wherever it stands.
    mutating func remove(where isMeant: (Element) -> Bool) -> Element? {
        let position = elements[head...].firstIndex { $0.map(isMeant) ?? false }
        guard let position, let element = elements[position] else { return nil }
        elements[position] = nil
        count -= 1
        return element
    }
}
