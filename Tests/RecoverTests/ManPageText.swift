/// What of the manual page is written by hand.
extension ManPage {
    static let head = #"""
        .\" Made from the help of the program: HOLDFAST_WRITE_MAN=1 swift test --filter ManPageTests
        .TH RECOVER 1 "" "Holdfast" "Holdfast"
        .SH NAME
        recover \- resolve what a crash left in doubt between PostgreSQL and the card network
        .SH SYNOPSIS
        .B recover
        .RI [ command ]
        .RI [ options ]
        .SH DESCRIPTION
        .B recover
        reads the durable log of a Holdfast server, looks at the databases, judges every unfinished transaction, says what it will do
        and why, and does it. Without a command it is
        .BR "recover run" .
        Start with
        .B recover \-\-dry\-run
        and
        .BR "recover list" ,
        which change nothing and work beside a running server. Prepared transactions of other logs and other programs are listed
        and never touched.
        .PP
        Data goes to standard output, talk to standard error. On a terminal tables are cut to its width and coloured; a pipe gets
        everything, uncut and plain. A reader that goes away is no failure.
        .PP
        A
        .I duration
        is a whole number of seconds, or has units: 500ms, 90s, 5m, 2h, 1h30m, 1d. An
        .I amount
        is a decimal number in the unit of each transaction's own currency (12.34). A
        .I time
        is UTC, as in 2026\-01\-31T10:20:30.123456Z. An
        .I LSN
        is the number of a record of the log.

        """#

    static let tail = #"""
        .SH SHELL COMPLETION
        .B recover \-\-generate\-completion\-script
        .I shell
        prints completions for bash, zsh or fish.
        .SH EXIT STATUS
        Where several hold, the first of 64, 78, 5, 4, 1, 6, 3, 0 is given.
        .TP
        .B 0
        Done, and nothing is in doubt; a command that only reads has read.
        .TP
        .B 1
        Something failed; the message says what and what to do.
        .TP
        .B 3
        Something is in doubt still, or in a dry run would be done; or an entry of a plan file was refused.
        .TP
        .B 4
        The log is damaged.
        .TP
        .B 5
        Another process, as a rule a server, uses the log.
        .TP
        .B 6
        A database or the network could not be reached; everything else was done.
        .TP
        .B 64
        The command line is wrong.
        .TP
        .B 78
        The configuration is wrong; the message names the variable.
        .SH ENVIRONMENT
        The variables of the server hold here too; an option beats the environment, the environment beats
        .BR CONFIG_FILE .
        .TP
        .B STATE_DIR
        Directory of the log, ./state if not set.
        .TP
        .BR DB_URI ", " DB_URI_1 ", DB_URI_2, ..."
        The databases.
        .TP
        .B CLEARING_URL
        Base URL of the card network.
        .TP
        .B CONFIG_FILE
        JSON file with variables.
        .TP
        .BR NO_COLOR ", " TERM ", " COLUMNS
        NO_COLOR forbids colours, TERM=dumb cursor movements too; COLUMNS overrides the width of the terminal.
        .TP
        .B HOLDFAST_FAULT
        For tests: what to do at named points of the work; docs/reference/fault\-injection.md lists them.
        .SH EXAMPLES
        .nf
        recover \-\-dry\-run
        recover \-\-plan\-out plan.json
        recover \-\-apply plan.json
        recover list \-\-state parked \-\-older\-than 5m
        recover list \-\-watch
        recover show \-\-request order\-1234 \-\-ask\-network
        .fi
        .SH SEE ALSO
        docs/operating/recover.md, docs/reference/exit\-codes.md, docs/reference/plan\-schema.md,
        docs/reference/list\-and\-show.md

        """#
}
