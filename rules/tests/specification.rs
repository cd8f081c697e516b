//! The specification (2.1: rules, modifiers, filters) word by word: each modifier with each kind of value, in cases of our own.

use event::{Batch, BatchBuilder, Content, FieldId, FormatId, FrameHead, LogRange, Position, Time, Transport};
use rules::cases::batch_of;
use rules::{Detector, LoadOptions, Match, RuleSet, load, matches_plainly};
use std::sync::Arc;

/// The detection, then the events that satisfy it, then those that do not.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

const CASES: &[Case] = &[
    // Values as they are: case does not count, a field is all of it, an array is any of its elements.
    ("s: {f: Word}, condition: s", &[r#"{"f":"wORD"}"#, r#"{"f":["x","word"]}"#], &[r#"{"f":"words"}"#, r#"{"g":"word"}"#, "{}"]),
    ("s: {f: ÄÖ}, condition: s", &[r#"{"f":"äö"}"#], &[r#"{"f":"ao"}"#]),
    ("s: {f: ΛΟΓΟΣ}, condition: s", &[r#"{"f":"λογος"}"#, r#"{"f":"Λογοσ"}"#], &[r#"{"f":"λογο"}"#]),
    ("s: {f: 'a?c'}, condition: s", &[r#"{"f":"aİc"}"#, r#"{"f":"aŉc"}"#, r#"{"f":"A😀C"}"#], &[r#"{"f":"ai̇c"}"#]),
    ("s: {f|contains: журнал}, condition: s", &[r#"{"f":"в ЖУРНАЛЕ"}"#], &[r#"{"f":"журна"}"#]),
    ("s: {f: 42}, condition: s", &[r#"{"f":42}"#, r#"{"f":"42"}"#, r#"{"f":42.0}"#], &[r#"{"f":421}"#, r#"{"f":null}"#]),
    ("s: {f: '42'}, condition: s", &[r#"{"f":42}"#, r#"{"f":"42"}"#], &[r#"{"f":"042"}"#]),
    ("s: {f: 9007199254740993}, condition: s", &[r#"{"f":9007199254740993}"#], &[r#"{"f":9007199254740992}"#]),
    ("s: {f: true}, condition: s", &[r#"{"f":true}"#, r#"{"f":"True"}"#], &[r#"{"f":false}"#, r#"{"f":1}"#]),
    ("s: {f: null}, condition: s", &["{}", r#"{"f":null}"#], &[r#"{"f":""}"#, r#"{"f":0}"#]),
    ("s: {f: ''}, condition: s", &[r#"{"f":""}"#], &["{}", r#"{"f":null}"#, r#"{"f":" "}"#]),
    ("s: {f: [a, 1, null]}, condition: s", &[r#"{"f":"A"}"#, r#"{"f":1}"#, "{}"], &[r#"{"f":"b"}"#]),
    ("s: {a.b: x}, condition: s", &[r#"{"a":{"b":"x"}}"#, r#"{"a.b":"x"}"#, r#"{"a":[{"b":"y"},{"b":"x"}]}"#], &[r#"{"b":"x"}"#]),
    // Wildcards and escapes.
    ("s: {f: 'a*c'}, condition: s", &[r#"{"f":"ac"}"#, r#"{"f":"a\nb\nc"}"#], &[r#"{"f":"acd"}"#]),
    ("s: {f: 'a?c'}, condition: s", &[r#"{"f":"aéc"}"#], &[r#"{"f":"ac"}"#, r#"{"f":"abbc"}"#]),
    (r"s: {f: 'a\*c'}, condition: s", &[r#"{"f":"a*c"}"#], &[r#"{"f":"abc"}"#]),
    (r"s: {f: 'a\\*c'}, condition: s", &[r#"{"f":"a\\bc"}"#], &[r#"{"f":"a*c"}"#]),
    (r"s: {f: 'a\\\*c'}, condition: s", &[r#"{"f":"a\\*c"}"#], &[r#"{"f":"a\\bc"}"#]),
    (r"s: {f: 'C:\Windows\x'}, condition: s", &[r#"{"f":"c:\\windows\\X"}"#], &[r#"{"f":"c:windowsx"}"#]),
    (r"s: {f: '\\\\host\share'}, condition: s", &[r#"{"f":"\\\\host\\share"}"#], &[r#"{"f":"\\host\\share"}"#]),
    ("s: {f: '*'}, condition: s", &[r#"{"f":"x"}"#, r#"{"f":""}"#], &["{}"]),
    // contains, startswith, endswith; also wildcards within them.
    ("s: {f|contains: bc}, condition: s", &[r#"{"f":"aBCd"}"#, r#"{"f":"bc"}"#], &[r#"{"f":"b c"}"#, "{}"]),
    ("s: {f|contains: 'b*d'}, condition: s", &[r#"{"f":"abcde"}"#], &[r#"{"f":"adcb"}"#]),
    ("s: {f|startswith: '1?3'}, condition: s", &[r#"{"f":"1234"}"#, r#"{"f":1234}"#], &[r#"{"f":"134"}"#]),
    ("s: {f|endswith: '.exe'}, condition: s", &[r#"{"f":"A.EXE"}"#], &[r#"{"f":"a.exe "}"#]),
    ("s: {f|contains: 23}, condition: s", &[r#"{"f":1234}"#], &[r#"{"f":132}"#]),
    ("s: {f|contains|all: [a, b]}, condition: s", &[r#"{"f":"b a"}"#, r#"{"f":["a","b"]}"#], &[r#"{"f":"a"}"#]),
    ("s: {f|all|startswith: [a, ab]}, condition: s", &[r#"{"f":"abc"}"#], &[r#"{"f":"ac"}"#]),
    // cased, neq, exists.
    ("s: {f|cased: Abc}, condition: s", &[r#"{"f":"Abc"}"#], &[r#"{"f":"abc"}"#]),
    ("s: {f|contains|cased: Bc}, condition: s", &[r#"{"f":"aBcd"}"#], &[r#"{"f":"abcd"}"#]),
    ("s: {f|cased|endswith: '*C'}, condition: s", &[r#"{"f":"abC"}"#], &[r#"{"f":"abc"}"#]),
    ("s: {f|neq: a}, condition: s", &[r#"{"f":"b"}"#, "{}"], &[r#"{"f":"A"}"#]),
    ("s: {f|neq: [a, b]}, condition: s", &[r#"{"f":"c"}"#], &[r#"{"f":"a"}"#, r#"{"f":"b"}"#]),
    ("s: {f|contains|all|neq: [a, b]}, condition: s", &[r#"{"f":"a"}"#], &[r#"{"f":"ab"}"#]),
    ("s: {f|exists: true}, condition: s", &[r#"{"f":null}"#, r#"{"f":""}"#], &["{}"]),
    ("s: {f|exists: false}, condition: s", &["{}"], &[r#"{"f":null}"#]),
    ("s: {f|exists: yes, g|exists: No}, condition: s", &[r#"{"f":1}"#], &["{}", r#"{"f":1,"g":1}"#]),
    // An object or a list is there, whatever it holds; a name is not there by another one that begins with it.
    (
        "s: {f|exists: true}, condition: s",
        &[r#"{"f":{"g":1}}"#, r#"{"f":[{"g":{"h":null}}]}"#, r#"{"f":[]}"#, r#"{"f":{ }}"#, r#"{"f.g":1}"#],
        &[r#"{"fg":1}"#, r#"{"g":{"f":1}}"#],
    ),
    ("s: {f|exists: false}, condition: s", &[r#"{"fg":1}"#], &[r#"{"f":{"g":1}}"#, r#"{"f":[]}"#]),
    ("s: {f: null}, condition: s", &[r#"{"fg":1}"#, r#"{"f":[]}"#], &[r#"{"f":{"g":1}}"#]),
    ("s: {f: null}, condition: not s", &[r#"{"f":{"g":1}}"#, r#"{"f":0}"#], &["{}", r#"{"f":null}"#]),
    // Regular expressions.
    ("s: {f|re: 'a.c'}, condition: s", &[r#"{"f":"xabcx"}"#], &[r#"{"f":"ABC"}"#, r#"{"f":"a\nc"}"#]),
    ("s: {f|re|i: 'a.c'}, condition: s", &[r#"{"f":"ABC"}"#], &[r#"{"f":"AC"}"#]),
    ("s: {f|re|s: 'a.c'}, condition: s", &[r#"{"f":"a\nc"}"#], &[r#"{"f":"A\nC"}"#]),
    ("s: {f|re|m: '^b$'}, condition: s", &[r#"{"f":"a\nb\nc"}"#], &[r#"{"f":"ab"}"#]),
    ("s: {f|re|i|m|s: '^B.c$'}, condition: s", &[r#"{"f":"x\nb\nC"}"#], &[r#"{"f":"xb\nc"}"#]),
    ("s: {f|re: '^ab$'}, condition: s", &[r#"{"f":"ab"}"#, r#"{"f":"ab\n"}"#], &[r#"{"f":"ab\n\n"}"#, r#"{"f":"ab\nc"}"#]),
    ("s: {f|re: ['^a', 'b$']}, condition: s", &[r#"{"f":"ax"}"#, r#"{"f":"xb"}"#], &[r#"{"f":"xax"}"#]),
    ("s: {f|re|all: ['^a', 'b$']}, condition: s", &[r#"{"f":"axb"}"#], &[r#"{"f":"ax"}"#]),
    (r"s: {f|re: '^\d+$'}, condition: s", &[r#"{"f":17}"#], &[r#"{"f":1.5}"#]),
    (r"s: {f|re: '\<b\>'}, condition: s", &[r#"{"f":"a<b>"}"#], &[r#"{"f":"a b c"}"#]),
    ("s: {f|re: '^[a-f&&.]+$'}, condition: s", &[r#"{"f":"a&."}"#], &[r#"{"f":"g"}"#]),
    ("s: {f|re: '^[x--9]$'}, condition: s", &[r#"{"f":"/"}"#, r#"{"f":"x"}"#], &[r#"{"f":"a"}"#]),
    ("s: {f|re|startswith: 'b+'}, condition: s", &[r#"{"f":"bbc"}"#], &[r#"{"f":"abb"}"#]),
    ("s: {f|endswith|re|i: 'x|y'}, condition: s", &[r#"{"f":"aY"}"#], &[r#"{"f":"xa"}"#]),
    ("s: {f|contains|re: '^b'}, condition: s", &[r#"{"f":"bc"}"#], &[r#"{"f":"ab"}"#]),
    // Numbers.
    ("s: {f|gte: 10}, condition: s", &[r#"{"f":10}"#, r#"{"f":"10"}"#, r#"{"f":10.5}"#], &[r#"{"f":9}"#, r#"{"f":"x"}"#, "{}"]),
    ("s: {f|gt: 10}, condition: s", &[r#"{"f":10.5}"#], &[r#"{"f":10}"#]),
    ("s: {f|lt: 2.5}, condition: s", &[r#"{"f":2}"#, r#"{"f":-3}"#], &[r#"{"f":2.5}"#]),
    ("s: {f|lte: 18446744073709551615}, condition: s", &[r#"{"f":18446744073709551615}"#], &[r#"{"f":"18446744073709551616"}"#]),
    ("s: {f: 10}, condition: s", &[r#"{"f":"10"}"#], &[r#"{"f":" 10 "}"#]),
    ("s: {f|gt: 36893488147419103232}, condition: s", &[r#"{"f":36893488147419103233}"#], &[r#"{"f":36893488147419103232}"#]),
    // A number that is looked for as text is as the rule writes it, and exact beyond what YAML's readers hold.
    ("s: {f|contains: 10.0}, condition: s", &[r#"{"f":"v10.0.1"}"#], &[r#"{"f":"v10"}"#]),
    ("s: {f|startswith: 007}, condition: s", &[r#"{"f":"0071"}"#], &[r#"{"f":"71"}"#]),
    ("s: {f|endswith: 1.10}, condition: s", &[r#"{"f":"v1.10"}"#], &[r#"{"f":"v1.1"}"#]),
    ("s: {f: 1.10}, condition: s", &[r#"{"f":"1.1"}"#, r#"{"f":1.1}"#], &[r#"{"f":1.11}"#]),
    ("s: {f: 36893488147419103233}, condition: s", &[r#"{"f":36893488147419103233}"#], &[r#"{"f":36893488147419103232}"#]),
    ("s: {f|re: 1.0}, condition: s", &[r#"{"f":"1.0"}"#], &[r#"{"f":"1"}"#]),
    ("s: {f: 0x10}, condition: s", &[r#"{"f":16}"#, r#"{"f":"0X10"}"#], &[r#"{"f":10}"#]),
    ("s: {f|contains: 12e4567}, condition: s", &[r#"{"f":"a12E4567b"}"#], &[r#"{"f":"inf"}"#]),
    ("s: {f|re: '${j}'}, condition: s", &[], &[r#"{"f":"${j}"}"#]),
    ("s: {f|re: 'x{y}'}, condition: s", &[r#"{"f":"x{y}"}"#], &[r#"{"f":"xy"}"#]),
    ("s: [1.0], condition: s", &[r#"{"f":"v1.0"}"#], &[r#"{"f":"v1"}"#]),
    ("s: {4.50: x}, condition: s", &[r#"{"4.50":"x"}"#], &[r#"{"4.5":"x"}"#]),
    // Networks.
    ("s: {f|cidr: 10.0.0.0/8}, condition: s", &[r#"{"f":"10.255.0.1"}"#], &[r#"{"f":"11.0.0.1"}"#, r#"{"f":"10"}"#]),
    ("s: {f|cidr: ['fe80::/10', '::1/128']}, condition: s", &[r#"{"f":"FE80::1"}"#, r#"{"f":"::1"}"#], &[r#"{"f":"::2"}"#]),
    (
        "s: {f|cidr: '::ffff:198.51.100.0/120'}, condition: s",
        &[r#"{"f":"198.51.100.7"}"#, r#"{"f":"::ffff:198.51.100.8"}"#],
        &[r#"{"f":"198.51.101.7"}"#],
    ),
    ("s: {f|cidr: '::ffff:0:0/96'}, condition: s", &[r#"{"f":"203.0.113.1"}"#], &[r#"{"f":"2001:db8::1"}"#]),
    ("s: {f|cidr: fe80::/10}, condition: s", &[r#"{"f":"fe80::7%en0"}"#], &[r#"{"f":"2001:db8::7%en0"}"#]),
    // Dashes, both ways, and slashes.
    (
        "s: {f|windash|contains: ' -x'}, condition: s",
        &[r#"{"f":"a /x"}"#, r#"{"f":"a –x"}"#, r#"{"f":"a -X"}"#],
        &[r#"{"f":"a x"}"#],
    ),
    ("s: {f|contains|windash: ' /x'}, condition: s", &[r#"{"f":"a -x"}"#], &[r#"{"f":"a\\x"}"#]),
    ("s: {f|windash: '–x'}, condition: s", &[r#"{"f":"-x"}"#, r#"{"f":"/X"}"#, r#"{"f":"―x"}"#], &[r#"{"f":"x"}"#]),
    ("s: {f|windash|cased: '--X /y'}, condition: s", &[r#"{"f":"-/X -y"}"#], &[r#"{"f":"--x /y"}"#, r#"{"f":"/-X /y"}"#]),
    (
        "s: {f|windash|contains|all: [' -a', ' /b']}, condition: s",
        &[r#"{"f":"x /a -b"}"#, r#"{"f":"x -b -a"}"#],
        &[r#"{"f":"x /a"}"#],
    ),
    ("s: {f|windash|contains: -1}, condition: s", &[r#"{"f":"x /1"}"#], &[r#"{"f":"x 1"}"#]),
    // Encodings: MQ== at each of the three offsets; UTF-16 before it.
    ("s: {f|base64: foobar}, condition: s", &[r#"{"f":"Zm9vYmFy"}"#], &[r#"{"f":"foobar"}"#]),
    ("s: {f|base64: foob}, condition: s", &[r#"{"f":"Zm9vYg=="}"#, r#"{"f":"Zm9vYg"}"#], &[r#"{"f":"Zm9vYmFy"}"#]),
    ("s: {f|base64|endswith: foob}, condition: s", &[r#"{"f":"x Zm9vYg=="}"#], &[r#"{"f":"Zm9vYg==x"}"#]),
    ("s: {f|base64|neq: foob}, condition: s", &[r#"{"f":"Zm9v"}"#], &[r#"{"f":"Zm9vYg=="}"#, r#"{"f":"Zm9vYg"}"#]),
    ("s: {f|base64|contains: foobar}, condition: s", &[r#"{"f":"x Zm9vYmFy y"}"#], &[r#"{"f":"x"}"#]),
    (
        "s: {f|base64offset|contains: foobar}, condition: s",
        &[r#"{"f":"Zm9vYmFy"}"#, r#"{"f":"eGZvb2Jhcg=="}"#, r#"{"f":"eHhmb29iYXI="}"#, r#"{"f":"eGZvb2JhcnkK"}"#],
        &[r#"{"f":"Zm9vYmF6"}"#],
    ),
    (
        "s: {f|wide|base64offset|contains: ab}, condition: s",
        &[r#"{"f":"YQBiAA=="}"#, r#"{"f":"eGEAYgA="}"#],
        &[r#"{"f":"YWI="}"#],
    ),
    ("s: {f|utf16be|base64: ab}, condition: s", &[r#"{"f":"AGEAYg"}"#], &[r#"{"f":"YQBiAA"}"#]),
    ("s: {f|wide|contains: 'a*b'}, condition: s", &[r#"{"f":"xa\u0000zzb\u0000"}"#], &[r#"{"f":"ab"}"#, r#"{"f":"azb"}"#]),
    // Another field.
    ("s: {f|fieldref: g}, condition: s", &[r#"{"f":"a","g":"A"}"#], &[r#"{"f":"a","g":"ab"}"#, r#"{"f":"a"}"#, r#"{"g":"a"}"#]),
    ("s: {f|fieldref|startswith: g}, condition: s", &[r#"{"f":"abc","g":"AB"}"#], &[r#"{"f":"cab","g":"ab"}"#]),
    ("s: {f|fieldref|endswith: g}, condition: s", &[r#"{"f":"abc","g":"bc"}"#], &[r#"{"f":"bca","g":"bc"}"#]),
    ("s: {f|fieldref|contains: g}, condition: s", &[r#"{"f":"abc","g":"b"}"#], &[r#"{"f":"abc","g":"*"}"#]),
    ("s: {f|fieldref|neq: g}, condition: s", &[r#"{"f":"a","g":"b"}"#], &[r#"{"f":"a","g":"a"}"#]),
    ("s: {f|fieldref|cased: g}, condition: s", &[r#"{"f":"a","g":"a"}"#], &[r#"{"f":"a","g":"A"}"#]),
    // Parts of a time.
    ("s: {t|hour: 17}, condition: s", &[r#"{"t":"2026-11-25T17:05:00Z"}"#], &[r#"{"t":"2026-11-25T16:05:00Z"}"#]),
    ("s: {t|minute|gte: 30}, condition: s", &[r#"{"t":"2026-11-25T17:30:00Z"}"#], &[r#"{"t":"2026-11-25T17:29:59Z"}"#]),
    (
        "s: {t|day: 25, t|month: 11, t|year: 2026}, condition: s",
        &[r#"{"t":"2026-11-25T00:00:00Z"}"#],
        &[r#"{"t":"2025-11-25T00:00:00Z"}"#],
    ),
    ("s: {t|week: 53}, condition: s", &[r#"{"t":"2027-01-01T00:00:00Z"}"#], &[r#"{"t":"2027-01-04T00:00:00Z"}"#]),
    // A time is read as it is written, in no other zone; a date alone has no hour. Numbers are seconds or parts of them.
    (
        "s: {t|hour: 3}, condition: s",
        &[r#"{"t":"2026-11-25T03:07+09:00"}"#, r#"{"t":"2026-11-25 03:07:08"}"#],
        &[r#"{"t":"2026-11-25"}"#],
    ),
    ("s: {t|day: 25, t|week: 48}, condition: s", &[r#"{"t":"2026-11-25"}"#], &[r#"{"t":"2026-11-2"}"#, r#"{"t":"2026-02-29"}"#]),
    (
        "s: {t|year: [1601, 9999]}, condition: s",
        &[r#"{"t":"1601-01-01T00:00:00Z"}"#, r#"{"t":"9999-12-31"}"#],
        &[r#"{"t":1601}"#],
    ),
    (
        "s: {t|minute: 7}, condition: s",
        &[r#"{"t":1772251620}"#, r#"{"t":1772251620.5}"#, r#"{"t":1772251620000}"#],
        &[r#"{"t":7}"#],
    ),
    // Keywords: any value, also numbers, never names; `all` over the whole event.
    ("s: [bad, 17], condition: s", &[r#"{"f":"so bad it is"}"#, r#"{"f":{"g":[1,17]}}"#], &[r#"{"bad":"x"}"#]),
    ("s: {'|all': [a1, b2]}, condition: s", &[r#"{"f":"xa1","g":"b2"}"#], &[r#"{"f":"a1"}"#]),
    ("s: {'|re': 'b[0-9]$'}, condition: s", &[r#"{"f":"b2"}"#], &[r#"{"f":"b2 "}"#]),
    ("s: {'|cased': Bad}, condition: s", &[r#"{"f":"a Bad b"}"#], &[r#"{"f":"a bad b"}"#]),
    ("s: bad, condition: s", &[r#"{"f":"bad"}"#], &[r#"{"f":"b"}"#]),
    ("s: ['b?d*x'], condition: s", &[r#"{"f":"a bid for x now"}"#], &[r#"{"f":"bd x"}"#]),
    // Maps, lists of maps, conditions.
    ("s: {f: a, g: b}, condition: s", &[r#"{"f":"a","g":"b"}"#], &[r#"{"f":"a"}"#]),
    ("s: [{f: a, g: b}, {h: c}], condition: s", &[r#"{"f":"a","g":"b"}"#, r#"{"h":"c"}"#], &[r#"{"f":"a"}"#]),
    ("a: {f: 1}, b: {g: 1}, condition: 'not a AND  b'", &[r#"{"g":1}"#], &[r#"{"f":1,"g":1}"#]),
    (
        "a: {f: 1}, b: {g: 1}, c: {h: 1}, condition: a or b and c",
        &[r#"{"f":1}"#, r#"{"g":1,"h":1}"#],
        &[r#"{"h":1}"#, r#"{"g":1}"#],
    ),
    ("a: {f: 1}, b: {g: 1}, c: {h: 1}, condition: '(a or b)and(c)'", &[r#"{"f":1,"h":1}"#], &[r#"{"f":1}"#]),
    ("sa: {f: 1}, sb: {g: 1}, _x: {h: 1}, condition: 1 of them", &[r#"{"f":1}"#], &[r#"{"h":1}"#]),
    ("sa: {f: 1}, sb: {g: 1}, t: {h: 1}, condition: all of s*", &[r#"{"f":1,"g":1}"#], &[r#"{"f":1,"h":1}"#]),
    ("sa: {f: 1}, sb: {g: 1}, condition: not 1 of s*", &["{}"], &[r#"{"f":1}"#]),
    ("sa: {f: 1}, sb: {g: 1}, sc: {h: 1}, condition: 2 of s*", &[r#"{"f":1,"h":1}"#], &[r#"{"f":1}"#]),
    ("a: {f: 1}, b: {g: 1}, condition: [a, b]", &[r#"{"f":1}"#, r#"{"g":1}"#], &["{}"]),
    ("s: {f|expand: '%names%'}, condition: s", &[r#"{"f":"taro"}"#, r#"{"f":"HANAKO"}"#], &[r#"{"f":"%names%"}"#]),
    ("s: {f|expand|contains: 'u=%names%;'}, condition: s", &[r#"{"f":"a u=taro; b"}"#], &[r#"{"f":"u=taro"}"#]),
    (
        "s: {f|expand: '%names%@%domain%'}, condition: s",
        &[r#"{"f":"Hanako@city.example"}"#, r#"{"f":"taro@city.example"}"#],
        &[r#"{"f":"taro@%domain%"}"#, r#"{"f":"taro@"}"#],
    ),
    (r"s: {f|expand: '\%names\%'}, condition: s", &[r#"{"f":"%names%"}"#], &[r#"{"f":"taro"}"#, r#"{"f":"\\%names\\%"}"#]),
    (r"s: {f|expand: '9\%*'}, condition: s", &[r#"{"f":"9% more"}"#], &[r#"{"f":"9\\%"}"#]),
    (r"s: {f|expand: 'h:\\%names%'}, condition: s", &[r#"{"f":"H:\\taro"}"#], &[r#"{"f":"h:taro"}"#]),
    ("s: {f|expand|endswith: '5 % of 20 %'}, condition: s", &[r#"{"f":"it is 5 % of 20 %"}"#], &[r#"{"f":"20 %"}"#]),
    ("s: {f|re|expand: '^(%names%|root)[0-9]$'}, condition: s", &[r#"{"f":"taro1"}"#, r#"{"f":"root2"}"#], &[r#"{"f":"taro"}"#]),
    (r"s: {f|expand|re|i: '^%domain%\%$'}, condition: s", &[r#"{"f":"CITY.example%"}"#], &[r#"{"f":"city-example%"}"#]),
    // Only in a filter `rules` is no part.
    ("rules: {f: 1}, condition: rules", &[r#"{"f":1}"#], &[r#"{"f":2}"#]),
    // Parts that begin with an underscore stand by, unless they are asked for.
    ("sa: {f: 1}, _sb: {g: 1}, condition: 1 of *", &[r#"{"f":1}"#], &[r#"{"g":1}"#]),
    ("sa: {f: 1}, _sb: {g: 1}, condition: all of *", &[r#"{"f":1}"#], &[r#"{"g":1}"#]),
    ("sa: {f: 1}, _sb: {g: 1}, condition: 1 of _*", &[r#"{"g":1}"#], &[r#"{"f":1}"#]),
];

/// Detections that the specification, or what a bound refuses, does not allow.
const REFUSED: &[&str] = &[
    "s: {f|loud: a}, condition: s",
    "s: {f|re: '('}, condition: s",
    "s: {f|re: '(?=a)'}, condition: s",
    "s: {f|cidr: 10.0.0.0/33}, condition: s",
    "s: {f|exists: perhaps}, condition: s",
    "s: {f|gt: many}, condition: s",
    "s: {f|hour: noon}, condition: s",
    "s: {f|expand: '%nobody%'}, condition: s",
    "s: {f|re|expand: 'a%nobody%'}, condition: s",
    "s: {f: {g: 1}}, condition: s",
    "s: {f: 1}, condition: t",
    "s: {f: 1}, condition: s and",
    "s: {f: 1}, condition: 's | count() > 3'",
    "s: {f: 1}",
    // What every event or none satisfies, because something is missing.
    "s: {}, condition: s",
    "s: [{f: 1}, {}], condition: s",
    "s: {f: []}, condition: s",
    "s: {f|all: []}, condition: s",
    "s: {f|neq: []}, condition: s",
    "s: {f|contains: }, condition: s",
    "s: {f|neq|contains: }, condition: s",
    "s: {f: 1}, condition: 0 of s*",
    "s: {f: 1}, t: {f: 2}, condition: 2 of s*",
    "s: {t|hour: 24}, condition: s",
    "s: {t|minute: -1}, condition: s",
    "s: {t|month: 0}, condition: s",
    "s: {t|hour|gt: 23}, condition: s",
    // Modifiers that contradict each other.
    "s: {f|gt|lt: 1}, condition: s",
    "s: {f|gt|contains: 1}, condition: s",
    "s: {f|cidr|re: 10.0.0.0/8}, condition: s",
    "s: {f|startswith|cidr: 10.0.0.0/8}, condition: s",
    "s: {f|fieldref|re: g}, condition: s",
    "s: {f|exists|contains: true}, condition: s",
    "s: {f|i: a}, condition: s",
    "s: {f|multiline|contains: a}, condition: s",
    "s: {f|re|i|cased: a}, condition: s",
    "s: {f|windash|re: -a}, condition: s",
    "s: {f|re|base64: a}, condition: s",
    "s: {t|hour|minute: 1}, condition: s",
];

fn loaded(detection: &str) -> (Arc<RuleSet>, Vec<rules::Problem>) {
    let text = format!("title: T\nlogsource: {{category: any}}\ndetection: {{{detection}}}\n");
    let mut options = LoadOptions::default();
    options.placeholders.insert("names".to_owned(), vec!["taro".to_owned(), "hanako".to_owned()]);
    options.placeholders.insert("domain".to_owned(), vec!["city.example".to_owned()]);
    let (set, problems) = load(&[("case".to_owned(), text)], &options);
    (Arc::new(set), problems)
}

/// Whether a rule matches the one event, in both forms alike.
fn decide(set: &Arc<RuleSet>, batch: &Batch) -> bool {
    let mut found: Vec<Match> = Vec::new();
    Detector::new(set.clone()).scan(batch, &mut found);
    let plain = !matches_plainly(set, batch.event(0)).is_empty();
    assert_eq!(!found.is_empty(), plain, "compiled and plain: {:?}", set.written().map(|rule| rule.texts).collect::<Vec<_>>());
    plain
}

#[test]
fn every_case_is_as_the_specification_has_it() {
    let mut wrong = Vec::new();
    for (detection, satisfy, fail) in CASES {
        let (set, problems) = loaded(detection);
        if problems.iter().any(|p| p.refused) {
            wrong.push(format!("{detection}: {problems:?}"));
            continue;
        }
        for (event, expected) in satisfy.iter().map(|event| (event, true)).chain(fail.iter().map(|event| (event, false))) {
            if decide(&set, &batch_of(&[event]).expect("an object")) != expected {
                wrong.push(format!("{detection} with {event}: expected {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Keywords look at what a record says: not at how a decoder classifies it, nor at the names of an object.
#[test]
fn keywords_look_at_the_values_of_the_record() {
    let record = r#"{"level":"notice","event.action":"reset pump","depth":7}"#;
    let mut builder = BatchBuilder::default();
    let head = FrameHead { position: Position { partition: 0, offset: 1 }, ..FrameHead::new(Transport::Internal, Content::Text) };
    let mut row = builder.row(&head, 0, record);
    row.format(FormatId::known("json"));
    row.object();
    row.text(FieldId::MESSAGE, record);
    row.fixed(FieldId::EVENT_KIND, "event");
    row.fixed(FieldId::OBSERVER_VENDOR, "maker");
    row.text(FieldId::HOST_NAME, "gauge");
    row.raw_part(FieldId::known("level"), record.find("notice").expect("there"), "notice".len());
    row.raw_part(FieldId::EVENT_ACTION, record.find("reset").expect("there"), "reset pump".len());
    row.int(FieldId::known("depth"), 7);
    drop(row);
    let batch = builder.finish(LogRange { partition: 0, first: 1, last: 1 }, Time::UNKNOWN);
    for (keyword, expected) in [
        ("notice", true),
        ("'reset p'", true),
        ("gauge", true),
        ("7", true),
        ("event", false),
        ("maker", false),
        ("depth", false),
        ("'\":'", false),
        ("'|re': 'even[t]'", false),
        ("'|all': [notice, gauge]", true),
        ("'|all': [notice, depth]", false),
    ] {
        let value = if keyword.contains(": ") { format!("{{{keyword}}}") } else { format!("[{keyword}]") };
        // Beside a test of the field itself, whose matcher looks at the same value.
        let detection = format!("s: {value}, t: {{event.kind|contains: vent}}, condition: s and t");
        assert_eq!(decide(&loaded(&detection).0, &batch), expected, "{keyword}");
    }
}

#[test]
fn what_is_not_allowed_is_refused_with_a_reason() {
    for detection in REFUSED {
        let (set, problems) = loaded(detection);
        assert!(
            set.rules().len() == 0 && problems.iter().all(|p| p.refused && !p.reason.is_empty() && p.hint.is_some()),
            "{detection}: {problems:?}"
        );
    }
}

/// What is read, though the specification asks not to write it, or it is not what it looks like.
#[test]
fn what_is_read_otherwise_than_it_looks_is_told() {
    for (detection, line) in [
        ("s: {f|contains|all: a}, condition: s", "f|contains|all: `all` is about several values, and there is one"),
        ("s: [{g: 1}, {f|all: [a]}], condition: s", "f|all: `all` is about several values, and there is one"),
        ("s: {f|cidr: [192.0.2.0/24, 10.1.2.3/8]}, condition: s", "f|cidr: 10.1.2.3/8 is read as 10.0.0.0/8"),
    ] {
        let (set, problems) = loaded(detection);
        let told: Vec<_> = problems.iter().map(|p| (p.refused, p.reason.as_str(), p.hint.is_some())).collect();
        assert_eq!(told, [(false, line, true)], "{detection}");
        assert_eq!(set.rules().len(), 1, "{detection}");
    }
    assert_eq!(loaded("s: {f|contains|all: [a, b], g|cidr: 192.0.2.1}, condition: s").1, []);
    let (_, problems) = load(&[("empty.yml".to_owned(), "# nothing\n".to_owned())], &LoadOptions::default());
    assert_eq!(problems.len(), 1, "{problems:?}");
    let months = "title: C\ncorrelation: {type: event_count, rules: [a], timespan: 5M, condition: {gte: 2}}\n---\n\
        title: A\nname: a\nlogsource: {product: x}\ndetection: {s: {f: 1}, condition: s}\n";
    let (_, problems) = load(&[("months.yml".to_owned(), months.to_owned())], &LoadOptions::default());
    assert_eq!(problems.iter().map(|p| p.hint.as_deref()).collect::<Vec<_>>(), [Some("minutes are written m")], "{problems:?}");
}

/// A problem of each kind, all in one load: each is told, at its line, and with what was meant where that can be guessed.
#[test]
fn everything_that_is_wrong_is_told_where_it_stands() {
    let text = r#"
title: Several things wrong
logsource: {categorie: firewall}
detection:
  first:
    source.ip|cidrr: 10.0.0.0/8
    destination.ip|cidr:
      - 192.0.2.0/24
      - 192.0.2.300
      - nonsense/8
  second:
    source.ip|cidrr: 10.0.0.0/8
    user.name|re: 'a(?=b)'
  empty:
  condition: first and (secnd or empty)
level: hihg
mihari: {fold: soon}
---
title: A correlation
correlation:
  type: event_count
  rules: [x]
  timespan: ever
  condition:
    gte: many
    ltt: 3
---
title: Of no such kind
correlation: {type: evnt_count, rules: [x], timespan: 5m, condition: {gte: 3}}
---
title: A behaviour
behaviour:
  type: beacon
  scor: 0.9
  connections: few
---
title: Nothing
detecton: {a: {b: c}, condition: a}
---
title: Fits
logsource: {product: linux}
detection:
  used: {a: b}
  useless: {c: d}
  condition: used
"#;
    let (set, problems) = load(&[("r.yml".to_owned(), text.to_owned())], &LoadOptions::default());
    let told: Vec<_> = problems.iter().map(|p| (p.line, p.refused, p.hint.as_deref().unwrap_or_default())).collect();
    let meant = |word: &str| format!("did you mean {word:?}?");
    let (category, cidr, second, high) = (meant("category"), meant("cidr"), meant("second"), meant("high"));
    let (lt, count, score, detection) = (meant("lt"), meant("event_count"), meant("score"), meant("detection"));
    assert_eq!(
        told,
        [
            (3, true, &*category),
            (6, true, &cidr),
            (9, true, "write one such as 192.0.2.0/24 or 2001:db8::/32"),
            (10, true, "write one such as 192.0.2.0/24 or 2001:db8::/32"),
            (12, true, &cidr),
            (
                13,
                true,
                "expressions are run without going back: name what may stand there, or exclude it by another item and `not`"
            ),
            (14, true, "name a field or a keyword"),
            (15, true, &second),
            (16, true, &high),
            (17, true, "write one such as 1h"),
            (23, true, "write one such as 10m"),
            (25, true, "write one such as 5"),
            (26, true, &lt),
            (29, true, &count),
            (34, true, &score),
            (35, true, ""),
            (37, true, &detection),
            (44, false, "name it in the condition, or take it away"),
        ],
        "{problems:#?}"
    );
    assert_eq!(set.rules().len(), 1);
}
