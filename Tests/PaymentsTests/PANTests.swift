import Testing

@testable import Payments

@Suite("Card numbers")
struct PANTests {
    @Test(
        "Test numbers of the card schemes are valid",
        arguments: [
            "4111111111111111", "5555555555554444", "378282246310005", "6011111111111117", "4222222222222",
            "503396198908",
            "6304950600000000007", "4539578763621486016",
        ])
    func valid(text: String) throws {
        let pan = try #require(PAN(text))
        #expect(pan.withDigits { $0 } == Array(text.utf8))
        #expect(pan.masked.text == text.prefix(6) + String(repeating: "*", count: text.count - 10) + text.suffix(4))
    }

    @Test(
        "A wrong length, character or check digit is no card number",
        arguments: [
            "", "0", "79927398713", "67999901000000000193", "4111111111111112", "4111 1111 1111 1111",
            "411111111111111a",
            "-4111111111111111", "4111111111111111\0",
            "٤١١١١١١١١١١١١١١١", "４１１１１１１１１１１１１１１１",
        ])
    func invalid(text: String) {
        #expect(PAN(text) == nil)
    }

    @Test("Luhn finds every single wrong digit")
    func singleErrors() throws {
        let digits = Array("4539578763621486".utf8)
        for position in digits.indices {
            for digit in UInt8(ascii: "0")...UInt8(ascii: "9") where digit != digits[position] {
                var wrong = digits
                wrong[position] = digit
                #expect(!Luhn.isValid(wrong), "digit \(position) as \(digit)")
            }
        }
        #expect(Luhn.isValid(digits))
        #expect(!Luhn.isValid([]))
    }

    @Test("A mask is taken back only if it hides all but the first six and the last four digits")
    func masks() {
        #expect(MaskedPAN(masked: "453957******1486")?.text == "453957******1486")
        #expect(MaskedPAN(masked: "503396**8908")?.text == "503396**8908")
        for text in [
            "", "4539578763621486", "453957*****31486", "4539*7******1486", "453957******148*", "453957*1486",
            "453957**********1486", "453957xxxxxx1486", "45395a******1486",
        ] {
            #expect(MaskedPAN(masked: text) == nil, "\(text)")
        }
    }
}
