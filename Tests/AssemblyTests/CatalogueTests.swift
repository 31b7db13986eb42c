import Testing

@testable import Assembly

/// The table that flags, file keys and the help text are made from.
@Suite struct CatalogueTests {
    /// Goal: every entry says what it means, and its flag leads back to it.
    @Test func everyEntryIsComplete() throws {
        for setting in NodeSettings.catalogue {
            #expect(!setting.help.isEmpty, "\(setting.variable)")
            #expect(setting.variable.allSatisfy { $0.isUppercase || $0 == "_" })
            #expect(setting.flag.hasPrefix("--") && setting.flag == setting.flag.lowercased())
            let source = try SettingSource(
                arguments: setting.variable == "CONFIG_FILE" ? [] : [setting.flag, "x"], environment: [:])
            #expect(source.text(setting.variable) == (setting.variable == "CONFIG_FILE" ? nil : "x"))
        }
        let names = NodeSettings.catalogue.map(\.variable)
        #expect(Set(names).count == names.count)
    }

    /// Goal: a default that is written out is one that is taken.
    @Test func everyDefaultIsTaken() throws {
        var environment = ["DB_URI": goodURI]
        for setting in NodeSettings.catalogue {
            environment[setting.variable] = setting.defaultText ?? environment[setting.variable]
        }
        #expect(fault(environment) == nil)
    }

    /// Goal: the help text shows every flag with its meaning and its default, and the program's name.
    @Test func theHelpMentionsEverySetting() {
        let text = NodeSettings.help(program: "testprogram")
        #expect(text.hasPrefix("usage: testprogram ") && text.hasSuffix("\n"))
        let lines = text.split(separator: "\n")
        for setting in NodeSettings.catalogue {
            let line = lines.first { $0.hasPrefix("  \(setting.flag) ") }
            #expect(line?.contains(setting.help) == true, "\(setting.flag)")
            if let byDefault = setting.defaultText { #expect(line?.hasSuffix("(default \(byDefault))") == true) }
        }
    }
}
