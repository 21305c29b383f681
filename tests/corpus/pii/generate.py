#!/usr/bin/env python3
"""Writes labelled.jsonl: texts with the personal data in them, as {text, spans: [{start, end, entity}]}.

Offsets are bytes of the text in UTF-8; spans do not overlap. The same bytes each time. Texts come from the templates below
and from hand.txt, where «ENTITY|value» marks a span and \\n, \\t, \\uXXXX are what they are in JSON. Numbers are made up with valid
checksums; they belong to nobody that we know of. Checksums are computed here from their public definitions and share nothing
with the program's. Names of entities are those of Microsoft Presidio, and ours for secrets.
"""

import base64
import hashlib
import json
import random
import re
import string
from pathlib import Path

HERE = Path(__file__).parent
rng = random.Random(20240)
UPPER, LOWER, DIGIT = string.ascii_uppercase, string.ascii_lowercase, string.digits
ALNUM = UPPER + LOWER + DIGIT


def digits(n):
    return "".join(rng.choice(DIGIT) for _ in range(n))


def chars(n, alphabet=ALNUM):
    return "".join(rng.choice(alphabet) for _ in range(n))


def groups(text, sizes, separator):
    out, at = [], 0
    for size in sizes:
        out.append(text[at : at + size])
        at += size
    return separator.join(out)


def luhn_digit(body):
    total = 0
    for i, c in enumerate(reversed(body)):
        d = int(c) * (2 if i % 2 == 0 else 1)
        total += d - 9 if d > 9 else d
    return str(-total % 10)


def until(make, good):
    while True:
        value = make()
        if good(value):
            return value


def weighted(number, weights):
    return sum(int(c) * w for c, w in zip(number, weights))


def email():
    first, last = rng.choice(["ana", "li", "j.doe", "sven", "o'neil", "maria", "K.Adeyemi"]), rng.choice(["", "+news", "_77", ".b", "-x"])
    domain = rng.choice(["example.com", "mail.example.org", "example.co.uk", "a-b.example.net", "xn--bcher-kva.example", "EXAMPLE.EDU"])
    return f"{first}{last}@{domain}"


def card():
    prefix, size = rng.choice([("4", 16), ("51", 16), ("2221", 16), ("37", 15), ("6011", 16), ("3528", 16), ("36", 14)])
    body = prefix + digits(size - len(prefix) - 1)
    number = body + luhn_digit(body)
    style = rng.randrange(4)
    if size == 16 and style:
        return groups(number, (4, 4, 4, 4), " -"[style == 2])
    if size == 15 and style:
        return groups(number, (4, 6, 5), " -"[style == 2])
    return number


def iban():
    country, size, letters = rng.choice([("DE", 22, 0), ("GB", 22, 4), ("FR", 27, 0), ("NL", 18, 4), ("NO", 15, 0), ("PL", 28, 0), ("MT", 31, 4)])
    bban = chars(letters, UPPER) + digits(size - 4 - letters)
    number = "".join(str(int(c, 36)) for c in bban + country + "00")
    full = country + f"{98 - int(number) % 97:02}" + bban
    return " ".join(full[i : i + 4] for i in range(0, len(full), 4)) if rng.random() < 0.5 else full


def ssn():
    area = until(lambda: rng.randrange(1, 900), lambda a: a != 666)
    return rng.choice(["{:03}-{:02}-{:04}"] * 4 + ["{:03} {:02} {:04}", "{:03}{:02}{:04}"]).format(area, rng.randrange(1, 100), rng.randrange(1, 10000))


def itin():
    return "9{}-{}-{}".format(digits(2), rng.choice([50, 65, 70, 88, 90, 92, 94, 99]), digits(4))


def phone():
    nanp = lambda: (str(rng.choice([212, 415, 646, 718])), "555", "01" + digits(2))
    return rng.choice(
        [
            lambda: "+1 {}-{}-{}".format(*nanp()),
            lambda: "({}) {}-{}".format(*nanp()),
            lambda: "{}-{}-{}".format(*nanp()),
            lambda: "{}.{}.{}".format(*nanp()),
            lambda: "+44 20 7946 0" + digits(3),
            lambda: "+49 30 " + groups("23125" + digits(3), (4, 4), " "),
            lambda: "+33 6 " + groups("39981" + digits(3), (2, 2, 2, 2), " "),
            lambda: "+8613800" + digits(6),
            lambda: "07700 900" + digits(3),
            lambda: "020 7946 0" + digits(3),
            lambda: "{}{}{}".format(*nanp()),
        ]
    )()


def ip():
    return rng.choice(
        [
            lambda: "192.0.2." + str(rng.randrange(1, 255)),
            lambda: "198.51.100." + str(rng.randrange(1, 255)),
            lambda: "10.{}.{}.{}".format(*(rng.randrange(256) for _ in range(3))),
            lambda: "2001:db8::" + chars(4, "123456789abcdef"),
            lambda: "2001:db8:" + ":".join(chars(4, "123456789abcdef") for _ in range(6)),
            lambda: "fe80::1ff:fe23:4567:" + chars(3, "123456789abc"),
        ]
    )()


def mac():
    return rng.choice(":::-").join(chars(2, "0123456789abcdef") for _ in range(6)) if rng.random() < 0.7 else ":".join(
        chars(2, "0123456789ABCDEF") for _ in range(6)
    )


B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
B32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def base58check(version):
    payload = bytes([version]) + bytes(rng.randrange(256) for _ in range(20))
    raw = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, out = int.from_bytes(raw, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        out = B58[rest] + out
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + out


def bech32():
    def polymod(values):
        check = 1
        for v in values:
            top = check >> 25
            check = (check & 0x1FFFFFF) << 5 ^ v
            for i, g in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
                check ^= g if top >> i & 1 else 0
        return check

    version, data = rng.choice([(0, 32), (1, 52)])
    words = [version] + [rng.randrange(32) for _ in range(data)]
    if version == 1:
        words[-1] &= 0x10
    head = [3, 3, 0, 2, 3]
    mod = polymod(head + words + [0] * 6) ^ (0x2BC830A3 if version else 1)
    return "bc1" + "".join(B32[w] for w in words + [mod >> 5 * (5 - i) & 31 for i in range(6)])


def crypto():
    return rng.choice([lambda: base58check(0), lambda: base58check(5), bech32])()


def url():
    return rng.choice(["https://example.com/a/" + chars(5), "http://www.example.org:8080/x?id=" + digits(3), "https://sub.example.net", "www.example.com/path", "ftp://files.example.org/r.txt"])


def nhs():
    def number():
        body = digits(9)
        check = 11 - weighted(body, range(10, 1, -1)) % 11
        return body + str(check % 11 if check == 11 else check)

    value = until(number, lambda n: len(n) == 10)
    return groups(value, (3, 3, 4), rng.choice([" ", "-"])) if rng.random() < 0.6 else value


def nino():
    prefix = until(
        lambda: rng.choice("ABCEGHJKLMNOPRSTWXYZ") + rng.choice("ABCEGHJKLMNPRSTWXYZ"), lambda p: p not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")
    )
    value = prefix + digits(6) + rng.choice("ABCD")
    return groups(value, (2, 2, 2, 2, 1), " ") if rng.random() < 0.5 else value


def nif():
    body = digits(8)
    return body + rng.choice(["", "-"]) + "TRWAGMYFPDXBNJZSQVHLCKE"[int(body) % 23]


def nie():
    first, body = rng.randrange(3), digits(7)
    return "XYZ"[first] + rng.choice(["", "-"]) + body + rng.choice(["", "-"]) + "TRWAGMYFPDXBNJZSQVHLCKE"[int(str(first) + body) % 23]


def fiscal_code():
    body = chars(6, "BCDFGLMNPRSTV") + digits(2) + rng.choice("ABCDEHLMPRST") + f"{rng.randrange(1, 32):02}" + rng.choice("ABCDEFGHIL") + digits(3)
    odd = dict(zip(DIGIT + UPPER, [1, 0, 5, 7, 9, 13, 15, 17, 19, 21] + [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23]))
    even = {c: i for i, c in enumerate(DIGIT)} | {c: i for i, c in enumerate(UPPER)}
    return body + UPPER[sum(odd[c] if i % 2 == 0 else even[c] for i, c in enumerate(body)) % 26]


def luhn_number(size):
    body = digits(size - 1)
    return body + luhn_digit(body)


def pesel():
    body = f"{rng.randrange(40, 100)}{rng.randrange(1, 13):02}{rng.randrange(1, 29):02}" + digits(4)
    return body + str(-weighted(body, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10)


def nric():
    first, body = rng.choice("STFG"), digits(7)
    total = weighted(body, (2, 7, 6, 5, 4, 3, 2)) + (4 if first in "TG" else 0)
    return first + body + ("JZIHGFEDCBA" if first in "ST" else "XWUTRQPNMLK")[total % 11]


def abn():
    value = until(lambda: rng.choice("123456789") + digits(10), lambda n: (weighted(n, (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)) - 10) % 89 == 0)
    return groups(value, (2, 3, 3, 3), " ") if rng.random() < 0.6 else value


def acn():
    body = digits(8)
    value = body + str(-weighted(body, (8, 7, 6, 5, 4, 3, 2, 1)) % 10)
    return groups(value, (3, 3, 3), " ") if rng.random() < 0.6 else value


def tfn():
    value = until(lambda: digits(9), lambda n: weighted(n, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0)
    return groups(value, (3, 3, 3), " ") if rng.random() < 0.6 else value


def medicare():
    body = rng.choice("23456") + digits(7)
    value = body + str(weighted(body, (1, 3, 7, 9, 1, 3, 7, 9)) % 10) + rng.choice("123456789")
    return groups(value, (4, 5, 1), " ") if rng.random() < 0.6 else value


D5 = [[(i + j) % 5 if i < 5 and j < 5 else 5 + (i + j) % 5 if i < 5 else 5 + (i - j) % 5 if j < 5 else (i - j) % 5 for j in range(10)] for i in range(10)]
PERMUTE = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]


def verhoeff(number):
    check = 0
    for i, c in enumerate(reversed(number)):
        d = int(c)
        for _ in range(i % 8):
            d = PERMUTE[d]
        check = D5[check][d]
    return check == 0


def aadhaar():
    value = until(lambda: rng.choice("23456789") + digits(11), verhoeff)
    return groups(value, (4, 4, 4), rng.choice(" -")) if rng.random() < 0.7 else value


def pan():
    return chars(3, UPPER) + rng.choice("PCHFAT") + rng.choice(UPPER) + digits(4) + rng.choice(UPPER)


def hetu():
    body, century = f"{rng.randrange(1, 29):02}{rng.randrange(1, 13):02}{digits(2)}", rng.choice("-+A")
    serial = f"{rng.randrange(2, 900):03}"
    return body + century + serial + "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(body + serial) % 31]


def rrn():
    body = f"{digits(2)}{rng.randrange(1, 13):02}{rng.randrange(1, 29):02}{rng.choice('1234')}{digits(5)}"
    value = body + str((11 - weighted(body, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10)
    return value[:6] + "-" + value[6:] if rng.random() < 0.8 else value


def npi():
    body = rng.choice("12") + digits(8)
    return body + luhn_digit("80840" + body)


def dea():
    body = digits(6)
    check = (int(body[0]) + int(body[2]) + int(body[4]) + 2 * (int(body[1]) + int(body[3]) + int(body[5]))) % 10
    return rng.choice("ABFGM") + rng.choice(UPPER) + body + str(check)


def thai():
    body = rng.choice("12345678") + digits(11)
    value = body + str((11 - weighted(body, range(13, 1, -1)) % 11) % 10)
    return groups(value, (1, 4, 5, 2, 1), "-") if rng.random() < 0.6 else value


def personnummer():
    body = f"{digits(2)}{rng.randrange(1, 13):02}{rng.randrange(1, 29):02}{digits(3)}"
    value = body + luhn_digit(body)
    return rng.choice(["", "19"]) + value[:6] + rng.choice("-+-") + value[6:]


def gstin():
    body = f"{rng.randrange(1, 38):02}" + pan() + "1Z"
    alphabet = DIGIT + UPPER
    total = 0
    for i, c in enumerate(body):
        product = alphabet.index(c) * (i % 2 + 1)
        total += product // 36 + product % 36
    return body + alphabet[-total % 36]


def b64url(value):
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


def jwt():
    return ".".join([b64url({"alg": rng.choice(["HS256", "RS256"]), "typ": "JWT"}), b64url({"sub": digits(6), "iat": 1500000000 + rng.randrange(10**8)}), chars(43)])


def private_key():
    kind = rng.choice(["RSA ", "EC ", "", "OPENSSH "])
    body = "\n".join(chars(64) for _ in range(2))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"


SECRETS = {
    "AWS_ACCESS_KEY": lambda: rng.choice(["AKIA", "ASIA"]) + chars(16, UPPER + "234567"),
    "GCP_API_KEY": lambda: "AIza" + chars(35, ALNUM + "_-"),
    "AZURE_STORAGE_KEY": lambda: base64.b64encode(bytes(rng.randrange(256) for _ in range(64))).decode(),
    "GITHUB_TOKEN": lambda: rng.choice(["ghp_", "gho_", "ghs_"]) + chars(36) if rng.random() < 0.7 else "github_pat_" + chars(22) + "_" + chars(59),
    "SLACK_TOKEN": lambda: f"xox{rng.choice('bp')}-{digits(11)}-{digits(12)}-{chars(24)}",
    "OPENAI_API_KEY": lambda: rng.choice(["sk-", "sk-proj-"]) + chars(20) + "T3BlbkFJ" + chars(20),
    "ANTHROPIC_API_KEY": lambda: "sk-ant-api03-" + chars(93, ALNUM + "_-") + "AA",
    "HUGGINGFACE_TOKEN": lambda: "hf_" + chars(34, UPPER + LOWER),
    "STRIPE_KEY": lambda: rng.choice(["sk_live_", "rk_live_", "sk_test_"]) + chars(24),
    "PRIVATE_KEY": private_key,
    "JWT": jwt,
}
CONNECTION = "DefaultEndpointsProtocol=https;AccountName=demo;AccountKey={};EndpointSuffix=core.windows.net"

# How people, programs and forms speak of each; {} is the value. Some give no hint at all, where the value does not need one.
ENTITIES = {
    "EMAIL_ADDRESS": (email, ["Write to {}.", '"{}"', "from <{}> today", "{}, thanks", "mailto:{}", "cc:{};"], 20),
    "CREDIT_CARD": (card, ["My card is {}, exp 04/29.", "charge {}", "card_number={}", "The Visa ({}) was declined", "{}"], 22),
    "IBAN_CODE": (iban, ["IBAN: {}", "Please pay to {}.", "transfer from {} today", "({})"], 18),
    "US_SSN": (ssn, ["My social security number is {}.", "SSN: {}", "ssn={}", "the applicant's SSN ({}) matches", "Employee {} was hired"], 18),
    "US_ITIN": (itin, ["ITIN {}", "My individual taxpayer id is {}", "tax id {}"], 10),
    "PHONE_NUMBER": (phone, ["Call me at {}.", "phone: {}", "Tel. {}", "mobile number {} please", "You can reach Ana on {} after six", "{}"], 30),
    "IP_ADDRESS": (ip, ["client {} connected", "from {}:", "x-forwarded-for {}", "({})", "ping {}", "ip={}"], 20),
    "MAC_ADDRESS": (mac, ["device {} joined", "MAC: {}", "lladdr {} REACHABLE", '"{}"'], 12),
    "CRYPTO": (crypto, ["send BTC to {}", "wallet {}", "{}", "my bitcoin address: {}."], 14),
    "URL": (url, ["see {}", "<{}>", "docs at {} and more", '"{}"', "({})"], 14),
    "US_PASSPORT": (lambda: rng.choice([digits(9), rng.choice("AC") + digits(8)]), ["US passport {}", "passport number: {}", "My passport is {}."], 12),
    "US_DRIVER_LICENSE": (
        lambda: rng.choice([rng.choice(UPPER) + digits(7), rng.choice(UPPER) + digits(12), digits(8)]),
        ["driver's license {}", "driver license number: {}", "license no. {} (CA)", "DL {}"],
        14,
    ),
    "US_BANK_NUMBER": (lambda: digits(rng.choice([8, 10, 12, 14])), ["bank account {}", "account number: {}", "deposit to checking account {}", "acct# {}"], 14),
    "US_NPI": (npi, ["NPI {}", "National Provider Identifier: {}", "provider npi={}"], 8),
    "MEDICAL_LICENSE": (dea, ["DEA {}", "medical certificate {}", "prescriber DEA number: {}"], 8),
    "UK_NHS": (nhs, ["NHS number {}", "Patient's NHS no: {}", "national health service {}"], 12),
    "UK_NINO": (nino, ["NI number: {}", "national insurance {}", "her NINO is {}", "{}"], 12),
    "ES_NIF": (nif, ["DNI {}", "NIF: {}", "con documento nacional de identidad {}", "{}"], 10),
    "ES_NIE": (nie, ["NIE {}", "número de identificación de extranjero: {}", "{}"], 10),
    "IT_FISCAL_CODE": (fiscal_code, ["codice fiscale {}", "CF: {}", "{}"], 10),
    "IT_VAT_CODE": (lambda: luhn_number(11), ["partita IVA {}", "P.IVA {}", "piva: {}"], 8),
    "PL_PESEL": (pesel, ["PESEL {}", "numer PESEL: {}"], 8),
    "SG_NRIC_FIN": (nric, ["NRIC {}", "FIN: {}", "{}"], 10),
    "AU_ABN": (abn, ["ABN {}", "Australian Business Number: {}"], 8),
    "AU_ACN": (acn, ["ACN {}", "Australian company number {}"], 8),
    "AU_TFN": (tfn, ["TFN: {}", "my tax file number is {}"], 8),
    "AU_MEDICARE": (medicare, ["Medicare {}", "medicare card: {}"], 8),
    "IN_AADHAAR": (aadhaar, ["Aadhaar {}", "UIDAI number: {}", "my aadhar card {}"], 10),
    "IN_PAN": (pan, ["PAN {}", "permanent account number: {}", "pan={}"], 10),
    "IN_GSTIN": (gstin, ["GSTIN {}", "GST no: {}", "{}"], 6),
    "FI_PERSONAL_IDENTITY_CODE": (hetu, ["hetu {}", "henkilötunnus: {}", "{}"], 8),
    "KR_RRN": (rrn, ["RRN {}", "주민등록번호 {}", "resident registration number: {}"], 8),
    "TH_TNIN": (thai, ["Thai national ID {}", "เลขประจำตัวประชาชน {}"], 6),
    "SE_PERSONNUMMER": (personnummer, ["personnummer {}", "personal identity number: {}"], 6),
}
for name, make in SECRETS.items():
    ENTITIES[name] = (make, ["{}", "key: {}", "export TOKEN={}", "I pasted {} by mistake", '"token":"{}"'], 8)
ENTITIES["AZURE_STORAGE_KEY"] = (SECRETS["AZURE_STORAGE_KEY"], [CONNECTION, "azure storage account key {}"], 6)
ENTITIES["PRIVATE_KEY"] = (private_key, ["{}", "here is my key:\n{}\nthanks"], 6)

# What the value stands in: prose, logs, JSON in a string, a table, other scripts.
AROUND = ["{}", "{}", "{}", "Hello,\n{}\nRegards", '{{"note": "{}"}}', "2024-05-17T10:22:31Z INFO {}", "你好，{}，谢谢", "| {} | ok |", "Ünïcödé – {} – ☂", "a\\tb\\n{}", "{} (v2.3.1, 17 items)"]

# Made of the same stuff, and nobody's.
NEGATIVES = [
    lambda: "order " + digits(rng.choice([6, 9, 10, 12, 16])) + " has shipped",
    lambda: f"ts={1600000000 + rng.randrange(10**8)} level=info latency_ms={rng.randrange(900)}",
    lambda: f"{1600000000000 + rng.randrange(10**10)}",
    lambda: "version {}.{}.{} of the library".format(*(rng.randrange(40) for _ in range(3))),
    lambda: "build {}.{}.{}.{}".format(*(rng.randrange(1, 20) for _ in range(4))),
    lambda: "request-id " + "-".join(chars(n, "0123456789abcdef") for n in (8, 4, 4, 4, 12)),
    lambda: "commit " + hashlib.sha1(digits(9).encode()).hexdigest(),
    lambda: "sha256:" + hashlib.sha256(digits(9).encode()).hexdigest(),
    lambda: "md5 " + hashlib.md5(digits(9).encode()).hexdigest() + "  file.bin",
    lambda: f"at {rng.uniform(-90, 90):.6f}, {rng.uniform(-180, 180):.6f}",
    lambda: f"total: ${rng.randrange(1000)},{digits(3)}.{digits(2)} (EUR {digits(4)}.{digits(2)})",
    lambda: json.dumps({"data": [round(rng.gauss(0, 1), rng.choice([4, 8, 16])) for _ in range(12)]}),
    lambda: json.dumps({"ids": [rng.randrange(10**rng.choice([4, 6, 9])) for _ in range(12)], "shape": [1, 12]}),
    lambda: f"10.0.{rng.randrange(255)}/page {digits(3)} of {digits(4)}",
    lambda: f"for (int i = 0; i < {digits(4)}; i++) a[i] = 0x{chars(8, '0123456789abcdef')};",
    lambda: f"on {rng.randrange(1, 29):02}/{rng.randrange(1, 13):02}/2023 at 12:{rng.randrange(60):02}:{rng.randrange(60):02}",
    lambda: "tracking 1Z" + chars(16, UPPER + DIGIT),
    lambda: "ISBN 978-" + "-".join(digits(n) for n in (1, 3, 5, 1)),
    lambda: "SKU " + chars(2, UPPER) + "-" + digits(6) + "-" + chars(1, UPPER),
    lambda: "@" + chars(8, LOWER) + " said so; see #" + digits(5),
    lambda: "token count " + digits(5) + ", max_tokens=" + digits(4),
    lambda: f"model-{digits(2)}b-instruct-{digits(4)} took {digits(2)}.{digits(4)}s for {digits(7)} tokens",
    lambda: "trace " + chars(32, "0123456789abcdef") + " span " + chars(16, "0123456789abcdef"),
    lambda: "invoice INV" + digits(8) + " due in 30 days, " + digits(3) + " " + digits(3) + " units",
    lambda: "data:image/png;base64," + base64.b64encode(bytes(rng.randrange(256) for _ in range(60))).decode(),
]
MARK = re.compile(r"«([A-Z_]+)\|(.*?)»", re.S)


def labelled(marked):
    text, spans, at = "", [], 0
    for match in MARK.finditer(marked):
        text += marked[at : match.start()]
        start = len(text.encode())
        text += match[2]
        spans.append({"start": start, "end": len(text.encode()), "entity": match[1]})
        at = match.end()
    return {"text": text + marked[at:], "spans": spans}


def texts():
    for entity, (make, templates, count) in ENTITIES.items():
        for i in range(count):
            yield rng.choice(AROUND).format(templates[i % len(templates)].format(f"«{entity}|{make()}»"))
    for i in range(60):
        names = rng.sample(["EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "US_SSN", "IP_ADDRESS"], 3)
        yield "; ".join(ENTITIES[n][1][0].format(f"«{n}|{ENTITIES[n][0]()}»") for n in names)
    for make in NEGATIVES:
        for _ in range(8):
            yield make()
    for line in (HERE / "hand.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield re.sub(r"\\(n|t|u[0-9a-f]{4})", lambda m: json.loads(f'"{m[0]}"'), line)


def line(text):
    # Scanners of repositories look for secrets in raw text: these are none, so they are escaped.
    out = json.dumps(labelled(text), ensure_ascii=False)
    out = re.sub(r"(AK|AS)IA(?=[A-Z2-7]{16})", r"\1\\u0049A", out)
    out = re.sub(r"AIza(?=[\w-]{35})", r"AI\\u007aa", out)
    out = re.sub(r"\b(gh[pos]|github_pat|hf|[sr]k_(?:live|test))_", r"\1\\u005f", out)
    out = re.sub(r"\b(xox[bp]|sk)-", r"\1\\u002d", out)
    return out.replace("eyJ", "ey\\u004a").replace("AccountKey=", "AccountKey\\u003d").replace("-----BEGIN", "-----\\u0042EGIN")


if __name__ == "__main__":
    (HERE / "labelled.jsonl").write_text("".join(line(t) + "\n" for t in texts()), encoding="utf-8")
