//! Sampling rates, as exporters tell them in options records, and to which flows each applies.
//!
//! An options record names what it speaks of: a sampler (NetFlow v9's FLOW_SAMPLER_ID, PSAMP's selectorId, RFC 5477 §8.1), an interface, a
//! template, or the whole domain. A flow has the rate of the most particular thing that it names. Where nothing was told, nothing is assumed.

use serde::{Deserialize, Serialize};

use super::kept::{self, Bounds, Kept};
use super::{Field, unsigned};

/// A large router has some thousand interfaces.
const RATES: Bounds = Bounds { exporter_max: 4096, max: 65_536, refused: "mihari_flow_rates_refused_total" };

/// What a rate is of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(super) enum Scope {
    Domain,
    Template(u64),
    Interface(u64),
    /// FLOW_SAMPLER_ID.
    Sampler(u64),
    /// selectorId.
    Selector(u64),
}

/// The rates of one domain.
pub(super) type Of = kept::Of<Scope, u64>;

/// All rates.
pub(super) type Rates = Kept<Scope, u64>;

/// None yet.
pub(super) fn none() -> Rates {
    Kept::new(RATES)
}

/// What a flow names that a rate may be of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Names {
    pub(super) sampler: Option<u64>,
    pub(super) selector: Option<u64>,
    pub(super) ingress: Option<u64>,
    pub(super) egress: Option<u64>,
}

impl Names {
    /// Takes up an element of a flow record. Of several samplers the last one counts that has a number.
    pub(super) fn element(&mut self, element: u16, value: Option<u64>) {
        match element {
            48 => self.sampler = value.or(self.sampler),
            302 => self.selector = value.or(self.selector),
            10 => self.ingress = self.ingress.or(value),
            14 => self.egress = self.egress.or(value),
            _ => {}
        }
    }
}

/// The rate for a flow of `template` that names what `names` says.
pub(super) fn rate_of(rates: &Of, template: u16, names: &Names) -> Option<u64> {
    let interface = names.ingress.into_iter().chain(names.egress).map(Scope::Interface);
    let particular = names.sampler.map(Scope::Sampler).into_iter().chain(names.selector.map(Scope::Selector)).chain(interface);
    particular.chain([Scope::Template(template.into()), Scope::Domain]).find_map(|scope| rates.get(&scope)).copied()
}

/// What one options record says of sampling.
#[derive(Default)]
pub(super) struct Told {
    interface: Option<u64>,
    template: Option<u64>,
    sampler: Option<u64>,
    selector: Option<u64>,
    /// Of a thing that no flow names.
    elsewhere: bool,
    pub(super) rate: Rate,
}

impl Told {
    pub(super) fn field(&mut self, field: &Field, version: u16, value: &[u8]) {
        if field.enterprise != 0 {
            return;
        }
        let number = unsigned(value);
        match (version, field.scope, field.element) {
            // RFC 3954 §6.1: system, interface, line card, cache, template.
            (9, true, 2) | (_, _, 10 | 14 | 252 | 253) if field.scope => self.interface = number,
            (9, true, 5) | (10, true, 145) => self.template = number,
            (9, true, 3) | (10, true, 141) => self.elsewhere = true,
            (_, _, 48) => self.sampler = number,
            (_, _, 302) => self.selector = number,
            (9, true, _) => {}
            _ => self.rate.element(field.element, value),
        }
    }

    /// What the rate is of.
    pub(super) fn scope(&self) -> Option<Scope> {
        let particular = self.sampler.map(Scope::Sampler).or(self.selector.map(Scope::Selector));
        let place = self.interface.map(Scope::Interface).or(self.template.map(Scope::Template));
        particular.or(place).or((!self.elsewhere).then_some(Scope::Domain))
    }
}

/// A rate, told in one element or in two.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    interval: Option<u64>,
    packets: Option<u64>,
    space: Option<u64>,
    size: Option<u64>,
    population: Option<u64>,
    probability: Option<f64>,
    /// An interval of 0 was told.
    none: bool,
}

impl Rate {
    pub(super) fn element(&mut self, element: u16, value: &[u8]) {
        match element {
            // samplingInterval, samplerRandomInterval; where one is 0, the other may tell.
            34 | 50 => {
                let interval = unsigned(value);
                self.none |= interval == Some(0);
                self.interval = interval.filter(|rate| *rate > 0).or(self.interval);
            }
            305 => self.packets = unsigned(value),
            306 => self.space = unsigned(value),
            309 => self.size = unsigned(value),
            310 => self.population = unsigned(value),
            311 => {
                self.probability = match value.len() {
                    4 => value.try_into().ok().map(|b| f32::from_be_bytes(b).into()),
                    8 => value.try_into().ok().map(f64::from_be_bytes),
                    _ => None,
                }
            }
            _ => {}
        }
    }

    /// Whether it says that there is no rate any more: nothing is sampled.
    pub(super) fn is_off(&self) -> bool {
        self.none && self.told().is_none()
    }

    /// Of how many packets one is taken, rounded: so many in a row and then a space (RFC 5477 §8.2.2 and 8.2.3), so many of a population
    /// (8.2.6), or with a probability (8.2.8). An interval without a space is taken for the rate, as exporters that send it alone mean it.
    pub(super) fn told(&self) -> Option<u64> {
        let ratio = |all: u64, taken: u64| (taken > 0 && all > 0).then(|| (all.saturating_add(taken / 2) / taken).max(1));
        let spaced = match (self.packets, self.space) {
            (Some(packets), Some(space)) => ratio(packets.saturating_add(space), packets),
            (packets, None) => packets.filter(|rate| *rate > 0),
            (None, _) => None,
        };
        let of_population = self.population.zip(self.size).and_then(|(population, size)| ratio(population, size));
        let likely = self.probability.filter(|p| *p > 0.0 && *p <= 1.0).map(|p| (1.0 / p).round() as u64);
        self.interval.or(spaced).or(of_population).or(likely)
    }
}

/// Whether an element is part of a [`Rate`] that several elements tell.
pub(super) fn is_part(element: u16) -> bool {
    matches!(element, 305 | 306 | 309..=311)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(elements: &[(u16, &[u8])]) -> Option<u64> {
        let mut rate = Rate::default();
        for (element, value) in elements {
            rate.element(*element, value);
        }
        rate.told()
    }

    #[test]
    fn rates_of_every_method() {
        assert_eq!(told(&[(34, &[0, 0, 0, 100])]), Some(100));
        assert_eq!(told(&[(50, &[0])]), None);
        assert_eq!(told(&[(305, &[1]), (306, &[3, 231])]), Some(1000));
        assert_eq!(told(&[(306, &[90]), (305, &[10])]), Some(10));
        assert_eq!(told(&[(305, &[0]), (306, &[90])]), None);
        assert_eq!(told(&[(305, &[200])]), Some(200));
        assert_eq!(told(&[(309, &[1]), (310, &[1, 0])]), Some(256));
        assert_eq!(told(&[(311, &0.01f64.to_be_bytes())]), Some(100));
        assert_eq!(told(&[(311, &f64::NAN.to_be_bytes())]), None);
        assert_eq!(told(&[(306, &[9])]), None);
    }

    #[test]
    fn the_most_particular_rate_applies_and_none_is_assumed() {
        let rates: Of = [(Scope::Sampler(1), 10), (Scope::Interface(7), 20), (Scope::Template(300), 30)].into();
        let names = Names { sampler: Some(1), ingress: Some(7), ..Names::default() };
        assert_eq!(rate_of(&rates, 300, &names), Some(10));
        assert_eq!(rate_of(&rates, 300, &Names { sampler: Some(2), ..names }), Some(20));
        assert_eq!(rate_of(&rates, 300, &Names { egress: Some(7), ..Names::default() }), Some(20));
        assert_eq!(rate_of(&rates, 300, &Names::default()), Some(30));
        assert_eq!(rate_of(&rates, 301, &Names { selector: Some(1), ..Names::default() }), None);
    }
}
