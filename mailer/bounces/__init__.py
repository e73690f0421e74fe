"""What comes back by mail, told apart: bounces, complaints, opt-outs, robots' answers, letters of people. PURE.

Bytes in, a frozen `Sorted` out: no database, no clock, no network, and nothing raises for what a mail may hold.
What can't be read is said to be unreadable and kept for a person; nothing is guessed. Who is meant is proved
elsewhere (`mailer.feedback`): a mail that doesn't carry our own secret name of a delivery changes nothing.
Start with `sorting.sort`; the rules about people are the table in `causes`.
"""
