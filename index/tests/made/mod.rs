//! Events and queries that are made at random, for holding the index against a scan.

use event::{Batch, BatchBuilder, Content, FieldId, FrameHead, LogRange, Position, TenantId, Time, Transport};
use proptest::prelude::*;

pub(crate) const START_S: i64 = 1_775_001_600;

pub(crate) fn now() -> Time {
    Time::from_unix_s(START_S)
}

/// One event, as numbers that choose from small pools: collisions are what tests need.
pub(crate) type Plan = (u8, u8, u8, u8, i16);

const USERS: &[&str] = &["taro", "Jiro", "花子", "a b", "*", "jiro?", "O'Neil", "10.0.0.1", "TRUE", "7", LONG];
/// A value that its record holds, so that it is found by its words.
const LONG: &str = "Mozilla/5.0 (X11; 日本 09:00:00) gecko/a-b";
/// Texts that letters of other sizes, empty ones and blanks make hard.
const WORDS: &[&str] = &["straße", "STRASSE", "İstanbul", "ＡＢＣ", "ΑΣ", "ας", "", " pad ", "ｶﾅ", "x😀y", "-0", "1e3"];
const LINES: &[&str] = &[
    "Failed password for {u} from {ip} port 22",
    "2026-04-01T09:00:00Z host-1.example.jp: {u} opened /etc/pass-wd",
    "個人番号の照会 {u} 号 outside:{ip}/443",
    "09:15:00.123+09:00 {ip} -> {ip} deny-rule_7 {u}",
    "",
];

pub(crate) fn build(plans: &[Plan], first: u64) -> Batch {
    let mut builder = BatchBuilder::default();
    for (at, (line, user, ip, what, number)) in plans.iter().enumerate() {
        let offset = first + at as u64;
        let head = FrameHead {
            position: Position { partition: 0, offset },
            received: Time::from_unix_s(START_S + offset as i64),
            tenant: TenantId(u32::from(*what == 99)),
            source: (what % 3 > 0).then(|| "192.0.2.1:514".parse().expect("an address")),
            origin: None,
            transport: Transport::Udp,
            content: Content::Text,
            truncated: false,
            listener: 0,
        };
        let user = USERS[*user as usize % USERS.len()];
        let address = match ip % 5 {
            0 => format!("10.0.{}.{}", ip % 3, ip % 7),
            1 => format!("2001:db8::{ip:x}"),
            2 => "203.0.113.7".to_owned(),
            _ => format!("10.1.2.{}", ip % 4),
        };
        let raw = LINES[*line as usize % LINES.len()].replace("{u}", user).replace("{ip}", &address);
        let mut row = builder.row(&head, 0, &raw);
        row.time(Time::from_unix_ns((START_S + offset as i64 - i64::from(what % 9)) * 1_000_000_000));
        row.text(FieldId::USER_NAME, user);
        row.ip(FieldId::SOURCE_IP, address.parse().expect("an address"));
        if what % 4 == 0 {
            row.ip(FieldId::DESTINATION_IP, "10.0.1.1".parse().expect("an address"));
        }
        row.int(FieldId::SOURCE_BYTES, (*number).into());
        match what % 7 {
            0 => row.text(FieldId::SOURCE_PORT, "not a number"),
            1 => row.float(FieldId::known("ratio"), f64::from(*number) / 4.0),
            2 => row.int(FieldId::known("ratio"), (*number).into()),
            3 => row.bool(FieldId::known("flag"), number % 2 == 0),
            4 => row.text(FieldId::known("own.name"), user),
            5 => row.null(FieldId::EVENT_REASON),
            _ => row.text(FieldId::MESSAGE, &format!("note {user}")),
        }
        if what % 5 == 1 {
            row.ip(FieldId::known("own.ip"), address.parse().expect("an address"));
            row.time_cell(FieldId::EVENT_START, Time::from_unix_s(START_S + i64::from(*number)));
        }
        if what % 6 == 2 {
            row.text(FieldId::TAGS, "one");
            row.text(FieldId::TAGS, if number % 2 == 0 { "two" } else { "one" });
        }
        let [two, three, four] = [2, 3, 4].map(|n| i64::from(*number).rem_euclid(n));
        match what % 8 {
            3 => [three, four, three].into_iter().for_each(|n| row.int(FieldId::known("own.counts"), n - 1)),
            4 => row.float(FieldId::known("own.part"), [-0.0, 0.0, -1.5, 0.25][four as usize]),
            5 => {
                row.int(FieldId::known("own.part"), three - 1);
                row.float(FieldId::known("own.part"), 0.25);
                [true, two == 0, true].into_iter().for_each(|b| row.bool(FieldId::known("own.flags"), b));
            }
            6 => row.uint(FieldId::known("own.large"), u64::MAX - four as u64),
            7 => (0..three).for_each(|n| row.text(FieldId::known("own.words"), WORDS[(*ip as i64 + n) as usize % WORDS.len()])),
            _ => {}
        }
    }
    builder.finish(LogRange { partition: 0, first, last: first + plans.len() as u64 - 1 }, now())
}

fn leaf() -> impl Strategy<Value = String> {
    let fixed = [
        "failed",
        "\"failed password\"",
        "\"password failed\"",
        "password",
        "個人番号",
        "番号",
        "号",
        "pass*",
        "*ssw*",
        "h?st",
        "10.0.0.1",
        "10.0",
        "10.1.2.",
        "2026-04",
        "09:15",
        "etc/pass-wd",
        "host-1.example",
        "\"from 10.0.0.0\"",
        "deny-rule_7",
        "note",
        "*",
        "zzz",
        "message:note",
        "message:\"note taro\"",
        "message:no*",
        "message:/^no.e$/",
        "message:/^No.e$/",
        "message:*番号*",
        "*の照会*",
        "*ost-1.ex*",
        "*-*d",
        "etc/p*-w?",
        "*/443",
        "h*-1.example",
        "10.*.7",
        "*番号の照会 ta*",
        "*番号*会",
        "個人*号",
        "*人*/443",
        "h*-*.jp",
        "0*-*ta*",
        "\"password {u} ip\"~3",
        "\"from failed\"~4",
        "\"番号 22\"~9",
        "pasword~",
        "user.name:tarro~1",
        "10.1.0.0/16",
        "event.original:*port*",
        "message:/note .*a/",
        "message:/^note/",
        "message:/e t|o$/",
        "message:/[ 子]/",
        "message:*",
        "_exists_:message",
        "user.name:taro",
        "user.name:\"Mozilla/5.0 (X11; 日本 09:00:00) gecko/a-b\"",
        "user.name:\"mozilla/5.0 (x11; 日本 09:00:00) GECKO/a-b\"",
        "user.name:\"Mozilla/5.0 (X11; 日本 09:00:00) gecko/a.b\"",
        "own.name:\"Mozilla/5.0 (X11; 日本 09:00:00) gecko/a-b\"",
        "user.name:JIRO",
        "user.name:花子",
        "user.name:\"a b\"",
        "user.name:\\*",
        "user.name:*",
        "user.name:j*",
        "user.name:*o",
        "user.name:/^[tJ]/",
        "user.name:>taro",
        "user.name:[a TO k]",
        "user.name:7",
        "user.name:10.0.0.1",
        "source.ip:10.0.0.0/8",
        "source.ip:10.1.2.0/31",
        "source.ip:0.0.0.0/0",
        "source.ip:2001:db8::/64",
        "source.ip:203.0.113.7",
        "source.ip:10.0.*",
        "source.ip:*.7",
        "source.ip:/^2001/",
        "source.ip:[10.0.0.0 TO 10.0.1.255]",
        "source.ip:>203.0.113.7",
        "source.ip:*",
        "destination.ip:*",
        "destination.ip:10.0.1.1",
        "destination.ip:10.0.0.0/16",
        "source.bytes:>100",
        "source.bytes:[-50 TO 60}",
        "source.bytes:{0 TO 5.5]",
        "source.bytes:7",
        "source.bytes:7.0",
        "source.bytes:7.5",
        "source.bytes:<-32000",
        "source.bytes:*",
        "source.bytes:1*",
        "source.bytes:/^-?\\d$/",
        "source.port:*",
        "source.port:not*",
        "source.port:>1",
        "ratio:*",
        "ratio:>2",
        "ratio:>=3",
        "ratio:{-5 TO 7]",
        "ratio:<0.5",
        "ratio:2.5",
        "ratio:3",
        "ratio:[1 TO 30]",
        "ratio:/\\.25$/",
        "flag:true",
        "flag:false",
        "flag:*",
        "flag:t*",
        "own.name:taro",
        "own.name:*i*",
        "own.name:>b",
        "own.ip:*",
        "own.ip:203.0.113.7",
        "own.ip:10.0.0.0/8",
        "own.ip:2001:DB8:0::1",
        "event.reason:*",
        "event.start:*",
        "event.start:>2026-04-01T00:10:00Z",
        "event.start:[2026-03-31T00:00:00Z TO 2026-04-01]",
        "tags:one",
        "tags:two",
        "tags:(one AND two)",
        "own.counts:2",
        "own.counts:(0 AND 1)",
        "own.counts:[-1 TO 0]",
        "own.part:0",
        "own.part:-0.0",
        "own.part:[-2 TO 0]",
        "own.part:[0 TO 0.25}",
        "own.part:>0",
        "own.part:<0",
        "own.part:>=0",
        "own.part:/^-?0$/",
        "own.flags:false",
        "own.flags:(true AND false)",
        "own.large:18446744073709551615",
        "own.large:>18446744073709551613",
        "own.large:>9223372036854775807",
        "own.words:straße",
        "own.words:strasse",
        "own.words:istanbul",
        "own.words:ＡＢＣ",
        "own.words:ασ",
        "own.words:\"\"",
        "own.words:\" pad \"",
        "own.words:*😀*",
        "own.words:?",
        "own.words:*",
        "own.words:1000",
        "own.words:/^.{2}$/",
        "@timestamp:>2026-04-01T00:01:00Z",
        "@timestamp:[2026-04-01T00:00:30Z TO 2026-04-01T00:02:00Z]",
        "event.received:<2026-04-01T00:01:00Z",
        "log.source.address:192.0.2.1",
        "log.source.address:*",
        "mihari.transport:udp",
        "mihari.transport:tcp",
        "no.such:x",
        "no.such:*",
        "zone.source:a",
    ];
    prop::sample::select(fixed.to_vec()).prop_map(str::to_owned)
}

pub(crate) fn any_query() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..5).prop_map(|parts| format!("({})", parts.join(" AND "))),
            prop::collection::vec(inner.clone(), 2..5).prop_map(|parts| format!("({})", parts.join(" OR "))),
            inner.prop_map(|part| format!("(NOT {part})")),
        ]
    })
}
