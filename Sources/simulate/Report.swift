import Simulation

/// What a run of many seeds came to.
struct Report {
    let campaign: Campaign
    let seconds: Double
    /// What was not tried and had to be.
    let missing: [RequiredCoverage.Item]
    let range: SeedRange

    var isGood: Bool { campaign.failures.isEmpty && campaign.unrepeatable.isEmpty && missing.isEmpty }

    private var stepsPerSecond: Int { Int(Double(campaign.steps) / max(seconds, 0.001)) }

    // MARK: - Text

    func text(_ smallest: Minimiser.Found?) -> String {
        let hours = Double(campaign.virtualNanoseconds) / 3.6e12
        var lines = [
            "seeds            \(campaign.seeds) (\(range.first)..\(range.first + UInt64(max(1, campaign.seeds)) - 1))",
            "steps            \(campaign.steps) in \(Self.rounded(seconds)) s: \(stepsPerSecond) a second",
            "virtual time     \(Self.rounded(hours)) hours",
            "payments         \(campaign.payments), asked for \(campaign.submissions) times",
            "crashes          \(campaign.crashes)",
            "run twice        \(campaign.repeated) seeds, all alike: \(campaign.unrepeatable.isEmpty ? "yes" : "NO, \(campaign.unrepeatable)")",
            "answers",
        ]
        for (answer, count) in campaign.answers.sorted(by: { $0.key < $1.key }) {
            lines.append("  \(Self.padded("\(count)", 9)) \(answer)")
        }
        lines.append("tried")
        for group in Coverage.Group.allCases {
            let names = campaign.coverage.hits[group] ?? [:]
            let required = RequiredCoverage.items.filter { $0.group == group }
            let hit = required.count { names[$0.name] != nil }
            lines.append("  \(Self.padded("\(hit) of \(required.count)", 9)) \(group.rawValue)")
        }
        for item in missing { lines.append("NOT TRIED: \(item.group.rawValue): \(item.name)") }
        for failure in campaign.failures.prefix(20) { lines.append(Self.line(of: failure)) }
        if campaign.failures.count > 20 { lines.append("... and \(campaign.failures.count - 20) more seeds that fail") }
        if let smallest { lines.append(Self.text(smallest)) }
        lines.append(isGood ? "all invariants held" : "FAILED")
        return lines.joined(separator: "\n")
    }

    var tried: String {
        Coverage.Group.allCases.flatMap { group in
            (campaign.coverage.hits[group] ?? [:]).sorted { $0.key < $1.key }.map {
                "\(group.rawValue): \($0.key): \($0.value)"
            }
        }.joined(separator: "\n")
    }

    static func line(of result: SimulationResult) -> String {
        guard let violation = result.violation else { return "seed \(result.seed): good" }
        let whose = violation.transaction.map { " \($0)" } ?? ""
        return
            "seed \(result.seed): \(violation.invariant.rawValue)\(whose) at step \(violation.step): \(violation.message)"
    }

    static func text(_ found: Minimiser.Found) -> String {
        guard let violation = found.result.violation else { return "the smaller world does not fail" }
        let lines = found.result.trace
        let shown = lines.suffix(Self.linesMax)
        let cut = lines.count > shown.count ? ["    (\(lines.count - shown.count) lines before these)"] : []
        return
            ([
                "", "the smallest world in which it fails (\(found.runs) runs):",
                "  must hold:  \(violation.invariant.meaning)",
                "  found:      \(violation.message)",
                "  again with: \(found.options.command) --trace",
            ] + cut + shown.map { "    \($0)" }).joined(separator: "\n")
    }

    /// Lines of a trace that are printed.
    private static let linesMax = 200

    static func summary(of result: SimulationResult, isRepeatable: Bool, json: Bool) -> String {
        guard json else {
            return [
                line(of: result),
                "steps \(result.steps), payments \(result.payments), crashes \(result.crashes), digest "
                    + String(result.digest, radix: 16) + (isRepeatable ? "" : ", and ANOTHER at a second run"),
                "faults \(result.faults.map(\.rawValue).sorted().joined(separator: ","))",
            ].joined(separator: "\n")
        }
        return "{\"seed\":\(result.seed),\"steps\":\(result.steps),\"digest\":\"\(String(result.digest, radix: 16))\""
            + ",\"repeatable\":\(isRepeatable)\(failure(result))}"
    }

    // MARK: - JSON

    func json(_ smallest: Minimiser.Found?) -> String {
        let answers = campaign.answers.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\($0.value)" }
        var fields = [
            "\"good\":\(isGood)", "\"seeds\":\(campaign.seeds)", "\"first_seed\":\(range.first)",
            "\"steps\":\(campaign.steps)", "\"seconds\":\(Self.rounded(seconds))",
            "\"steps_per_second\":\(stepsPerSecond)",
            "\"virtual_hours\":\(Self.rounded(Double(campaign.virtualNanoseconds) / 3.6e12))",
            "\"payments\":\(campaign.payments)", "\"submissions\":\(campaign.submissions)",
            "\"crashes\":\(campaign.crashes)", "\"answers\":{\(answers.joined(separator: ","))}",
            "\"not_tried\":[\(missing.map { quoted("\($0.group.rawValue): \($0.name)") }.joined(separator: ","))]",
            "\"unrepeatable\":[\(campaign.unrepeatable.map(String.init).joined(separator: ","))]",
        ]
        let failures = campaign.failures.map { "{\"seed\":\($0.seed)\(Self.failure($0))}" }
        fields.append("\"failures\":[\(failures.joined(separator: ","))]")
        if let smallest { fields.append("\"smallest\":\(quoted(smallest.options.command))") }
        return "{\(fields.joined(separator: ","))}"
    }

    private static func failure(_ result: SimulationResult) -> String {
        guard let violation = result.violation else { return "" }
        return ",\"invariant\":\(quoted(violation.invariant.rawValue)),\"step\":\(violation.step)"
            + ",\"message\":\(quoted(violation.message))"
    }

    // MARK: - Small things

    private static func rounded(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}

/// A JSON string literal; the texts of a run are printable.
func quoted(_ text: String) -> String {
    var literal = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"", "\\": literal += "\\\(scalar)"
        case let control where control.value < 0x20: literal += " "
        default: literal.unicodeScalars.append(scalar)
        }
    }
    return literal + "\""
}
