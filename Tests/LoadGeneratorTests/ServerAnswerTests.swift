import Testing

@testable import LoadGenerator

/// What is read out of an answer.
@Suite struct ServerAnswerTests {
    private func read(_ text: String) -> ServerAnswer { Array(text.utf8).withUnsafeBytes { ServerAnswer($0) } }

    @Test("Goal: every answer of the wire contract is told apart, anything else counts as other")
    func answers() {
        let approved = read(#"{"status":"APPROVED","txn_id":"visa_1"}"#)
        #expect(approved.status == .approved && !approved.isRepeat && approved.hasTransaction && approved.reason == nil)
        let again = read(#"{"status":"APPROVED","idempotent":true,"txn_id":"visa_1"}"#)
        #expect(again.status == .approved && again.isRepeat)
        let final = read(#"{"status":"DECLINED","reason":"clearing_declined","txn_id":"visa_1"}"#)
        #expect(final.status == .declined && final.reason == "clearing_declined" && final.hasTransaction)
        let refused = read(#"{"status":"DECLINED","reason":"server_busy"}"#)
        #expect(refused.status == .declined && refused.reason == "server_busy" && !refused.hasTransaction)
        #expect(read(#"{"status":"PENDING","txn_id":"visa_1"}"#).status == .pending)
        for text in ["", "OK", #"{"status":"APPROVE"#, #"{"error":"x"}"#, #"{"status":"DECLINED","reason":"open"#] {
            #expect(read(text).status == .other || read(text).reason == nil, "\(text)")
        }
    }

    @Test("Goal: a repeat may change what claimed nothing, and never what was final")
    func repeats() {
        for later in [Fate.approved, .declined, .pending, .refused] {
            #expect(Fate.refused.allowsRepeat(later) && Fate.lost.allowsRepeat(later))
        }
        #expect(Fate.approved.allowsRepeat(.approved) && !Fate.approved.allowsRepeat(.declined))
        #expect(!Fate.declined.allowsRepeat(.approved) && !Fate.declined.allowsRepeat(.refused))
    }
}
