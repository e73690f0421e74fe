"""PURE: what servers say in words, by what they mean. Regular expressions; `causes` gives each its action.

Written down as forms, not as copies of one vendor's sentence: who (mailbox, user, recipient ...), what about them
(unknown, full, closed ...), in either order and in the languages that servers speak.
"""

from __future__ import annotations

_WHO = r"(?:users?|recipients?|rcpt|addressee|mailbox|account|e-?mail (?:address|account)|address|alias|local[- ]part)"
_GONE = (
    r"(?:disabled|discontinued|deactivated|deleted|terminated|inactive|suspended|closed|expired|frozen|locked"
    r"|cancell?ed|archived|obsolete|dormant)"
)
_NONE = r"(?:unknown|no such|invalid|non-?existent|unrecogni[sz]ed|bad destination|bad)"
_NOT = r"(?:does ?n(?:ot|['’]?t)|do(?:es)? not)"
_ABSENT = (
    r"(?:unknown|not known|not found|not recogni[sz]ed|non-?exist\w*|not listed|not a valid|is invalid|not exist"
    rf"|{_NOT} exist|not present|is not local|not active)"
)
_BOX_ABROAD = r"(?:cuenta|casilla|buz[oó]n|conta|caixa|compte|bo[iî]te|konto|postfach|casella)\b"
_CONTENT = r"(?:content|filter|polic|spam|virus|security)"

SENDER_REFUSED = (
    r"sender (?:\S+ )?(?:address |domain )?(?:was |is )?(?:rejected|refused|denied|not allowed|verif\w+ failed)",
    r"sender verif\w+",
    r"(?:unknown|invalid|bad|bogus|null|empty|blank) (?:envelope )?(?:senders?|mail from|from)\b",
    r"sender'?s? (?:e-?mail )?(?:domain|address)(?: address)? (?:does|is|not|rejected)",
    r"domain of sender address",
    r"\b(?:your|sender'?s?)[^.\n]{0,30}\b(?:mx|dns)\b",
    r"return.path .{0,40}(?:invalid|does not exist)",
    r"\bfrom: (?:\w+ )?(?:domain|address)|as a from: address|valid from\b",
    r"\bbatv\b|backscatter",
    r"send as a different|purported responsible",
)

SENDER_NOT_AUTHENTICATED = (
    r"\b(?:spf|dkim|dmarc|domainkeys)\b",
    r"unauthenticated (?:e-?mail|mail|sender|commands?)",
    r"not authenticated",
    r"\bptr\b (?:resource )?record",
    r"reverse (?:dns|name|lookup|hostname)|find your (?:reverse )?(?:hostname|address)|resolve your address",
    r"\brdns\b",
    r"authentication (?:is |credentials ?)?(?:required|invalid|failure|failed|not allowed|checks|mechanism)",
    r"relay(?:ing)? (?:is |access |mail )?(?:denied|not (?:permitted|allowed)|prohibited|to\b)",
    r"we do not relay|unable to relay|permitted to relay|open (?:relay|proxy)|allowed rcpthosts?\b|not local host",
    r"required? authentication|requires? (?:\w+ )?(?:authentication|encryption|tls|high-strength|starttls)",
    r"starttls (?:command|first)|(?:start)?tls (?:is )?required",
    r"(?:daily|peak|user|hourly)[^.\n]{0,20}(?:sending|smtp relay)[^.\n]{0,12}(?:quota|limit)|submission quota",
    r"\b(?:helo|ehlo)\b[^.\n]{0,30}(?:invalid|reject|denied|first|mismatch)|bad helo",
    r"mismatches client ip|not passed validation",
)

MAILBOX_FULL = (
    r"(?:over|exceed\w*|exceeding|out of|above)[^.\n]{0,30}\bquota",
    r"(?<!submission )(?<!sending )quota[^.\n]{0,40}(?:exceed|violat|full|reached|over)",
    r"overdrawn",
    r"over ?quota",
    r"disk ?space|diskquota|dis[kc] quota",
    r"(?:mail ?box|mail ?folder|inbox|account|storage)[^.\n]{0,25}\bfull",
    r"full (?:mail ?box|inbox)",
    r"(?:mail ?box|mail ?folder|mail file|maildir|storage)[^.\n]{0,40}(?:exceed\w*|limit reached)",
    r"exceed\w* (?:\w+ )?(?:storage|mailbox)",
    r"too much mail|too many messages on the server",
    r"insufficient (?:disk|storage|system storage)",
    r"mailbox (?:size )?limit",
    r"space (?:not enough|has been used)|not (?:have )?enough (?:disk |storage )?space",
    r"out of (?:storage|disk)",
    r"receiving mail (?:at a rate|too quickly)",
    r"bo[iî]te[^.\n]{0,30}pleine|postfach[^.\n]{0,20}voll|casella[^.\n]{0,20}piena",
    r"(?:buz[oó]n|casilla|cuenta|mailbox|bandeja)[^.\n]{0,20}llen[oa]",
    r"caixa[^.\n]{0,20}cheia|переполнен|メールボックス[^。\n]{0,15}(?:いっぱい|満杯|容量)|(?:邮箱|信箱)[^。\n]{0,8}[满滿]",
)

TOO_LARGE = (
    r"(?:message|mail|size)\b(?![^.\n]{0,60}\bhops?\b)[^.\n]{0,40}(?:exceed\w*|too (?:large|big))",
    r"max(?:imum)? (?:inbound |incoming )?message size",
    r"size limit",
    r"(?:too (?:large|big))",
)

DOMAIN_GONE = (
    r"host (?:or domain name )?not found",
    r"(?:unknown|no such) (?:mail )?(?:host|domain)",
    rf"(?:host|domain)(?: name)? (?:is )?(?:unknown|non-?exist\w*|{_NOT} exist|not found)|domain must exist",
    r"unroute?able (?:mail )?(?:domain|address)",
    r"nxdomain",
    r"couldn'?t find (?:any host|a mail exchanger)|host address lookups failed",
    r"(?:bad|invalid|illegal) (?:destination )?(?:host|domain)\b",
    r"point(?:s)? to non-?existent hosts",
    r"no route to (?:domain|address)",
    r"name or service not known",
    r"answer with no data|indicated no smtp service|(?:host|domain) does not accept mail(?! from)|\bnull ?mx\b",
)

MAILBOX_UNKNOWN = (
    rf"(?<!many )(?<!not )\b{_NONE}[ -](?:local |virtual |remote |destination |system )?{_WHO}\b(?! syntax)",
    rf"\b{_WHO}(?: name)?(?: you (?:entered|tried[^.]{{0,40}}))?[^.\n]{{0,50}}? (?:is |was |has |are )?{_ABSENT}",
    rf"\b{_WHO} invalid\b",
    r"recip(?:ient)?\W?not\W?found",
    r"not (?:listed|present|found) in (?:the |our )?(?:public name|domino|directory)",
    rf"{_NOT} have an? \S+ account",
    r"no (?:mail ?box|account|user|person|one|recipient) (?:here )?(?:by|with|of) (?:that|this) name",
    r"no mail ?box (?:here|found|available)|no mail box available",
    r"not an active (?:address|account|user|mailbox)",
    r"invalid final delivery user",
    r"no matches to nameserver|did not exactly match|final e-?mail delivery point",
    r"not a (?:valid|known) (?:user|mailbox|recipient|address)",
    r"user (?:name )?(?:isn'?t|is not) (?:here|known)",
    r"\b(?:no such|unknown) (?:person|addressee|login)",
    r"(?:no one|nobody) (?:here )?at (?:this|that) address",
    r"address (?:is )?unknown|address (?:could ?n[o']t|can(?:no|')t) be found",
    r"unknown user",
    r"bad ?(?:rcpt|recipient)(?:to)?\b|not in my valid ?rcptto",
    r"5\.1\.0 address rejected",
    # with their numbers, wherever those stood: Outlook.com; Exchange Online's directory-based edge blocking
    r"5\.5\.0\b[^\n]{0,20}requested action not taken: mailbox unavailable",
    r"5\.4\.1\b[^\n]{0,20}recipient address rejected: access denied",
    r"user or domain[^.\n]{0,20}rcpthosts|domain or user isn'?t in my list",
    # other languages
    r"n'existe pas|(?:utilisateur|destinataire|adresse|bo[iî]te)[^.\n]{0,40}(?:inconnue?|non recens|invalide)",
    r"existiert nicht|unbekannter? (?:empf|nutzer|benutzer)|(?:empf.{1,3}nger|adressat|benutzer).{0,20}unbekannt",
    r"(?:usuario|direcci.n|cuenta|buz.n|destinatario)[^.\n]{0,40}(?:no existe|desconocid|no v[aá]lid)",
    r"no existe (?:dich|ese|esa|el |la |est)",
    r"(?:utente|indirizzo|casella|destinatario)[^.\n]{0,40}(?:non esiste|sconosciut|inesistente)|nessun utente",
    r"(?:usu.rio|endere.o|caixa|destinat.rio|conta)[^.\n]{0,40}(?:n.o (?:existe|encontrad)|inexistente|desconhecid)",
    r"(?:gebruiker|ontvanger|adres)[^.\n]{0,30}(?:onbekend|bestaat niet)|onbekende (?:gebruiker|ontvanger)",
    r"nie istnieje|nieznany (?:u.ytkownik|odbiorca|adres)",
    r"пользовател\w+ не найден|(?:почтовый )?ящик не (?:найден|существует)|нет такого (?:пользователя|ящика)",
    r"(?:宛先|ユーザ|アドレス|ディレクトリ)[^。\n]{0,24}(?:見つかり|存在し|不明|ありません|使われて)",
    r"(?:收件人|用户|邮箱|地址|收信人|郵箱)[^。\n]{0,12}(?:不存在|无效|無效|未找到)",
    r"존재하지 않는|수신자를 찾을 수 없",
)

MAILBOX_CLOSED = (
    rf"\b(?:account|mailbox|user|address|alias|recipient)\b[^.\n]{{0,40}}\b(?:is|was|been|are) (?:\w+ )?{_GONE}\b",
    rf"\b{_GONE} (?:account|mailbox|user|recipient)\b|\b(?:account|mailbox|user) (?:currently )?{_GONE}\b",
    r"has moved|moved permanently|has been replaced by",
    r"no longer (?:with|works|work|valid|employed|on th|in use|here|exist|available|active|at )",
    r"no longer accepts? (?:mail|messages)(?! from)",
    r"has left (?:the|our)",
    # other languages
    rf"{_BOX_ABROAD}[^.\n]{{0,30}}(?:expirad|caducad|deshabilitad|desativad|desactivad|cancelad|cerrad|encerrad|chius)",
    rf"{_BOX_ABROAD}[^.\n]{{0,30}}(?:d[eé]sactiv|ferm[eé]e?|supprim|deaktiviert|gel[oö]scht|geschlossen|di(?:sattiv|sabilit)at)",
)

MAILBOX_UNAVAILABLE = (
    r"mailbox (?:is )?(?:currently )?unavailable",
    r"recipient address rejected: access denied",
)

RECIPIENTS_FILTER = (
    r"recipient'?s? preferences|preferences of the (?:recipient|person)",
    r"(?:blocked|rejected|refused) by (?:the |a )?(?:recipient|user|addressee)s?\b(?!'s (?:server|system|domain))",
    r"banned recipient|recipient (?:only accepts|does not accept|refuses to accept) ",
)

REFUSED_AS_SPAM = (
    r"\bspam|quarantined",
    r"(?:black|block|deny)[ -]?list",
    r"rbl\b|dnsbl|spamhaus|spamcop|barracuda|sorbs|proofpoint|cloudmark|ipbl\d",
    r"reputation|sender ?score|senderbase",
    r"unsolicited|unwanted|bulk (?:e-?)?mail",
    r"listed (?:in|at|on|by|as) \S+",
    rf"(?:content|message|mail)[^.\n]{{0,30}}(?:rejected|refused|blocked|denied|filter)[^.\n]{{0,30}}{_CONTENT}",
    r"(?:rejected|refused|blocked|denied)[^.\n]{0,40}(?:polic|filter|security|administrat)|content denied",
    r"virus|malware|phish|suspicious|\babus\w*",
    r"polic(?:y|ies)\b|organi[sz]ational settings|administrative prohibition|imposed",
    r"access (?:denied|forbidden)|forbidden|no access from",
    r"\bblocked\b",
    r"\bbanned\b",
    r"client host rejected|host network not allowed|\bip(?: address)? rejected|dynamic ip",
    r"rate limit|frequency limited|throttl|thread limit|connection limit|max(?:imum)? e-?mails per|relay limit",
    r"too many (?:\w+ ){0,2}(?:messages|connections|recipients|errors|sessions|commands)|trop de connexions",
    r"send too many|sent too many|\bexceeded the allowable",
    r"complaints|deferred due|service refuse|mail rejet",
    r"not authori[sz]ed|permission (?:denied|to send)|not allowed to (?:connect|send|post)|pre-approved",
    r"(?:not|aren'?t) accept\w* (?:mail|messages) from",
    r"prohibited|members?-only|closed mailing list",
)

MESSAGE_REFUSED = (
    r"without to: field",
    r"no resent-from",
    r"(?:missing|bad|invalid|no) (?:\w+[ -])?header|headers?[^.\n]{0,20}(?:not accepted|too long)",
    r"syntax error|protocol (?:error|violation)|bad sequence|(?:rcpt|mail) first|command first",
    r"content (?:conversion|type)|improperly[- ]format|multiple addresses",
    r"mime\b.{0,30}(?:error|invalid|not)",
    r"8bit|8-bit|smtputf8",
)

ROUTE_TROUBLE = (
    r"too many hops|\bhop count|\d+ hops\b|mail loop|loops? back|routing loop|too many received",
    r"timed? ?out|time-?out",
    r"connection (?:was )?(?:refused|dropped|reset|closed|lost|failed)",
    r"could not (?:initiate|connect)|can'?t connect|unable to connect|did not (?:accept our|respond)",
    r"network (?:is )?unreachable|no route to host",
    r"temp(?:orary)?[_ ]?(?:failure|fail|error|problem)|try (?:again )?later|temporarily|greylist",
    r"delivery failed \d+ attempts|retry (?:time|timeout)|expired",
    r"could not be resolved|dns (?:error|failure|problem|check)|name service",
    r"unable to transfer",
)
