import Coordinator
import Testing

@testable import recover

/// What is written for people: aligned, cut only where it must be, coloured only where it may be, and never obeyed.
@Suite struct TerminalTests {
    private static let xterm = ["TERM": "xterm"]

    private static func terminal(width: Int, colour: Bool = false) -> Terminal {
        Terminal(isTerminal: true, environment: colour ? xterm : xterm.merging(["NO_COLOR": "1"]) { $1 }, width: width)
    }

    @Test("Goal: colours on a terminal alone, and not with NO_COLOR or a dumb one")
    func colours() {
        #expect(Terminal(isTerminal: true, environment: Self.xterm, width: 80).hasColour)
        #expect(Terminal(isTerminal: true, environment: ["TERM": "xterm", "NO_COLOR": ""], width: 80).hasColour)
        for (isTerminal, environment) in [
            (false, Self.xterm), (true, ["TERM": "xterm", "NO_COLOR": "1"]), (true, ["TERM": "dumb"]), (true, [:]),
        ] {
            let terminal = Terminal(isTerminal: isTerminal, environment: environment, width: 80)
            #expect(!terminal.hasColour && terminal.styled("x", .red) == "x", "\(environment)")
        }
        #expect(
            Terminal(isTerminal: true, environment: Self.xterm, width: 80).styled("x", .red) == "\u{1B}[31mx\u{1B}[0m")
        #expect(Terminal(isTerminal: true, environment: ["TERM": "xterm", "COLUMNS": "40"], width: 80).width == 40)
        #expect(Terminal(isTerminal: false, environment: ["COLUMNS": "40"], width: 80).width == nil)
        // Colours are one thing, a line that is rewritten another.
        #expect(Terminal(isTerminal: true, environment: ["TERM": "xterm", "NO_COLOR": "1"], width: 80).isInteractive)
        #expect(!Terminal(isTerminal: true, environment: ["TERM": "dumb"], width: 80).isInteractive)
    }

    @Test("Goal: columns are aligned, numbers at the right, and no line ends in blanks")
    func alignment() {
        var table = Table("NAME", .right("AMOUNT"), "LAST")
        table.add("a", "1.00", "x")
        table.add("longer", "12345.67", "")
        #expect(
            table.text == """
                NAME      AMOUNT  LAST
                a           1.00  x
                longer  12345.67  \("")
                """)
    }

    @Test("Goal: a pipe gets everything; a terminal's width is kept, and nothing is cut off for it")
    func truncation() {
        var table = Table("ID", .flexible("WHY"), .right("N"))
        table.add("visa_0123456789", String(repeating: "because ", count: 10), "7")
        #expect(table.text.contains(String(repeating: "because ", count: 10)))
        let narrow = table.text(for: Self.terminal(width: 40))
        #expect(narrow.split(separator: "\n").allSatisfy { String($0).columns <= 40 }, "\(narrow)")
        let lines = narrow.split(separator: "\n")
        #expect(lines[1] == "visa_0123456789  because because       7", "\(narrow)")
        #expect(!narrow.contains("…") && narrow.matches(of: /because/).count == 10, "\(narrow)")
        let tiny = table.text(for: Self.terminal(width: 12))
        #expect(tiny.split(separator: "\n").allSatisfy { String($0).columns <= 12 }, "\(tiny)")
        #expect(table.text(for: Self.terminal(width: 500)) == table.text)
        let block = table.text(for: Self.terminal(width: 38)).split(separator: "\n")
        #expect(
            block == [
                "ID visa_0123456789", "  why: because because because because",
                "       because because because because",
                "       because because", "  n: 7",
            ], "\(block)")
    }

    @Test("Goal: styles do not disturb the alignment")
    func styledCells() {
        var table = Table("A", "B")
        table.add(cells: [.init("x", .red), .init("y")])
        table.add(cells: [.init("longer"), .init("z", .green)])
        let coloured = table.text(for: Self.terminal(width: 80, colour: true))
        #expect(coloured.contains("\u{1B}[31mx\u{1B}[0m"))
        #expect(coloured.replacing(/\u{1B}\[[0-9]+m/, with: "") == table.text)
    }

    @Test("Goal: nothing that others wrote moves the cursor, changes colours or hides text")
    func printable() {
        var table = Table("GID")
        let hostile = "a\u{1B}[2Jb\nc\rd\u{7}\u{9B}31m\u{202E}evil\u{200B}\u{7F}\u{85}"
        table.add(hostile)
        let lines = table.text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count == 2)
        #expect(lines[1] == #"a\u{1b}[2Jb\u{a}c\u{d}d\u{7}\u{9b}31m\u{202e}evil\u{200b}\u{7f}\u{85}"#)
        #expect("plain 'text' ü 漢".printable == "plain 'text' ü 漢")
        #expect("two\nlines\u{1B}".printableLines == "two\nlines\\u{1b}")
        #expect("{\n\"x\":\"\u{9B}\u{7F}\u{202E}\"}".printableJSON == "{\n\"x\":\"\\u009b\\u007f\\u202e\"}")
    }

    @Test("Goal: text is cut between characters, wide ones counted twice")
    func clipping() {
        #expect("abcdef".clipped(to: 6) == "abcdef" && "abcdef".clipped(to: 4) == "abc…")
        #expect("漢字漢字".columns == 8 && "漢字漢字".clipped(to: 4) == "漢…")
        #expect("x".clipped(to: 0) == "" && "xy".clipped(to: 1) == "…")
    }

    @Test("Goal: progress never goes back, and nothing is shown where nobody looks")
    func progress() {
        let start = ContinuousClock.now
        var line = ProgressLine(terminal: Self.terminal(width: 80), now: start)
        #expect(line.advance(open: 10, of: "deliveries", now: start) == "0 of 10 deliveries done, 0.0 a second, 0 s")
        #expect(
            line.advance(open: 6, of: "deliveries", now: start + .seconds(2))
                == "4 of 10 deliveries done, 2.0 a second, 2 s")
        #expect(line.advance(open: 9, of: "deliveries", now: start + .seconds(4))?.hasPrefix("4 of 13") == true)
        #expect(line.advance(open: 0, of: "deliveries", now: start + .seconds(4))?.hasPrefix("13 of 13") == true)
        var unseen = ProgressLine(terminal: .none)
        #expect(unseen.advance(open: 3, of: "deliveries", now: start) == nil)
    }

    @Test(
        "Goal: durations are whole numbers with units, seconds without one",
        arguments: [
            ("0", 0), ("30", 30_000), ("90s", 90_000), ("5m", 300_000), ("2h", 7_200_000), ("1d", 86_400_000),
            ("250ms", 250), ("1h30m", 5_400_000), ("", nil), ("s", nil), ("5x", nil), ("-5s", nil), ("1.5h", nil),
            ("1h30", nil), ("5 m", nil), ("99999999999999999999s", nil), ("9999999d", nil), ("٣s", nil),
        ])
    func spans(text: String, milliseconds: Int64?) {
        #expect(Span(argument: text)?.milliseconds.count == milliseconds)
    }

    @Test("Goal: ages are told in the unit that fits")
    func ages() {
        func age(_ seconds: Int64) -> String {
            Age.text(since: WallTime(microseconds: 0), now: WallTime(microseconds: seconds * 1_000_000))
        }
        #expect([age(-5), age(119), age(120), age(7200), age(172_800)] == ["0s", "119s", "2m", "2h", "2d"])
    }
}
