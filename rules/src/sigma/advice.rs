//! What a detection may say and the specification asks not to write, or what is read otherwise than it looks: advice for who writes rules.

use ipnet::IpNet;

use crate::fault::Fault;
use crate::yaml::Node;

/// Advice on the items of a detection, or of the body of a filter.
pub(crate) fn advice(detection: &Node) -> Vec<Fault> {
    let Node::Map(entries) = detection else { return Vec::new() };
    let parts = entries.iter().filter(|(name, _)| name != "condition");
    parts.flat_map(|(name, part)| of_part(part).into_iter().map(|fault| fault.below(name))).collect()
}

fn of_part(part: &Node) -> Vec<Fault> {
    match part {
        Node::Map(items) => items.iter().flat_map(|(key, values)| of_item(key, values)).collect(),
        Node::List(elements) => elements.iter().flat_map(of_part).collect(),
        _ => Vec::new(),
    }
}

fn of_item(key: &str, values: &Node) -> Vec<Fault> {
    let has = |wanted: &str| key.split('|').skip(1).any(|modifier| modifier.trim().eq_ignore_ascii_case(wanted));
    let mut told = Vec::new();
    if has("all") && values.elements().len() == 1 {
        let hint = Some("leave `all` out, or write the list that it is about".to_owned());
        told.push(Fault::new(&[key], format!("{key}: `all` is about several values, and there is one")).hint(hint));
    }
    if has("cidr") {
        for text in values.elements().iter().filter_map(Node::text) {
            if let Some(net) = text.parse::<IpNet>().ok().filter(|net| net.trunc() != *net) {
                let hint = Some("write the network, or the address with its full length".to_owned());
                told.push(Fault::new(&[key, text], format!("{key}: {text} is read as {}", net.trunc())).hint(hint));
            }
        }
    }
    told
}
