//! scratch
use event::*;
use ingest::decode::*;
fn main() {
    let mut c = ingest::capture::Capture::open(std::path::Path::new(&std::env::args().nth(1).unwrap())).unwrap();
    let mut d = flow::FlowDecoder::default();
    let mut f = Frames::default();
    let mut n = 0;
    while c.read(&mut f, 1 << 20).unwrap() > 0 {
        for h in f.heads_mut() {
            n += 1;
            h.position.offset = n;
        }
        let mut b = BatchBuilder::default();
        for fr in f.iter() {
            d.decode(fr, &mut b);
        }
        let b = b.finish(LogRange::default(), Time::UNKNOWN);
        for e in b.iter() {
            let mut o = String::new();
            json::write_event(e, &mut o);
            println!("{o}");
        }
        f.clear();
    }
}
