//! scratch
use event::*;
use ingest::decode::*;
fn main() {
    let s = std::sync::Arc::new(DecodeSettings::new("UTC", "2026-11-22T00:00:00Z".parse().unwrap()).unwrap());
    let mut d = text::TextDecoder::new(&s);
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let v: serde_json::Value = serde_json::from_str(&line).unwrap();
        let mut b = BatchBuilder::default();
        let raw = v["raw"].as_str().unwrap();
        d.decode(
            Frame {
                head: FrameHead {
                    position: Position::default(),
                    received: Time::UNKNOWN,
                    tenant: TenantId(0),
                    source: None,
                    transport: Transport::File,
                    content: Content::Text,
                    truncated: false,
                },
                bytes: raw.as_bytes(),
            },
            &mut b,
        );
        let b = b.finish(LogRange::default(), Time::UNKNOWN);
        let mut o = String::new();
        json::write_event(b.event(0), &mut o);
        println!("{{\"id\":{},\"event\":{}}}", v["id"], o);
    }
}
