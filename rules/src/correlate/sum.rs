//! A sum to which numbers are added and from which they are taken again, without any rounding.
//!
//! Whole numbers are summed in 128 bits. Where a number has a fraction, or is very large, it goes to an accumulator that is wide enough
//! for every finite `f64` (as U. Kulisch's): a running sum in `f64` would keep the rounding errors of numbers that have long left the
//! window, and the order of arrival would show.

use std::cmp::Ordering;

use crate::sigma::item::Number;

/// Whole numbers up to this size are summed in 128 bits; so many numbers as a window may hold cannot overflow it.
const SMALL_MAX: u128 = 1 << 100;
const _: () = assert!((super::window::ENTRIES_PER_WINDOW_MAX as u128) < 1 << 26);

/// The lowest bit of the accumulator stands for 2^-1074, the smallest positive `f64`.
const LOWEST: i32 = 1074;
/// 64-bit digits: from 2^-1074 beyond 2^1023 × 2^64 (many numbers, times a count).
const DIGITS: usize = 36;

/// An exact sum.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    small: i128,
    wide: Option<Box<Wide>>,
}

/// Two's complement, the lowest digit first.
#[derive(Clone, Debug)]
struct Wide {
    digits: [u64; DIGITS],
}

impl Sum {
    /// Something that hangs on the sum, for [`super::groups::Groups::warm`].
    pub(super) fn touch(&self) -> u64 {
        self.small as u64
    }

    pub(super) fn add(&mut self, number: Number) {
        self.change(number, 1);
    }

    pub(super) fn remove(&mut self, number: Number) {
        self.change(number, -1);
    }

    fn change(&mut self, number: Number, times: i64) {
        match number {
            Number::Int(n) if n.unsigned_abs() < SMALL_MAX => self.small += n * i128::from(times),
            _ => {
                let wide = self.wide.get_or_insert_with(|| Box::new(Wide { digits: [0; DIGITS] }));
                wide.add(number, times);
                if wide.digits == [0; DIGITS] {
                    self.wide = None;
                }
            }
        }
    }

    /// How the sum compares with `bound` × `count`, exactly.
    pub(super) fn compare(&self, bound: Number, count: i64) -> Ordering {
        if let (None, Number::Int(bound)) = (&self.wide, bound)
            && let Some(product) = bound.checked_mul(i128::from(count))
        {
            return self.small.cmp(&product);
        }
        let mut left = self.wide.as_deref().cloned().unwrap_or(Wide { digits: [0; DIGITS] });
        left.add(Number::Int(self.small), 1);
        left.add(bound, -count);
        left.sign()
    }
}

impl Wide {
    fn add(&mut self, number: Number, times: i64) {
        let (magnitude, exponent, negative) = match number {
            Number::Int(n) => (n.unsigned_abs(), 0, n < 0),
            Number::Float(n) => {
                let bits = n.to_bits();
                let exponent = (bits >> 52 & 0x7ff) as i32;
                let fraction = bits & ((1 << 52) - 1);
                // IEEE 754: a normal number has an implicit leading bit, a subnormal one the exponent of the smallest normal.
                let (fraction, exponent) = if exponent == 0 { (fraction, 1) } else { (fraction | 1 << 52, exponent) };
                (u128::from(fraction), exponent - 1075, n.is_sign_negative())
            }
        };
        let negative = negative != (times < 0);
        // magnitude × times is up to 192 bits: by halves.
        let times = u128::from(times.unsigned_abs());
        for (half, shift) in [(magnitude & u128::from(u64::MAX), 0), (magnitude >> 64, 64)] {
            self.add_shifted(half * times, (exponent + LOWEST + shift) as usize, negative);
        }
    }

    fn add_shifted(&mut self, magnitude: u128, bit: usize, negative: bool) {
        let (digit, shift) = (bit / 64, bit % 64);
        let low = magnitude << shift;
        let high = if shift == 0 { 0 } else { (magnitude >> (128 - shift)) as u64 };
        let mut carry = false;
        for (at, place) in self.digits.iter_mut().enumerate().skip(digit) {
            let part = match at - digit {
                0 => low as u64,
                1 => (low >> 64) as u64,
                2 => high,
                _ if !carry => break,
                _ => 0,
            };
            let (first, over) = if negative { place.overflowing_sub(part) } else { place.overflowing_add(part) };
            let (second, again) =
                if negative { first.overflowing_sub(u64::from(carry)) } else { first.overflowing_add(u64::from(carry)) };
            *place = second;
            carry = over || again;
        }
    }

    fn sign(&self) -> Ordering {
        if self.digits[DIGITS - 1] >> 63 != 0 {
            Ordering::Less
        } else if self.digits.iter().all(|d| *d == 0) {
            Ordering::Equal
        } else {
            Ordering::Greater
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[Number]) -> Sum {
        let mut sum = Sum::default();
        for n in numbers {
            sum.add(*n);
        }
        sum
    }

    #[test]
    fn nothing_is_rounded() {
        use Number::{Float, Int};
        let cases: &[(&[Number], Number, Ordering)] = &[
            (&[Int(1), Int(2)], Int(3), Ordering::Equal),
            (&[Float(0.5), Float(0.25)], Float(0.75), Ordering::Equal),
            (&[Float(1e300), Float(1.0), Float(-1e300)], Int(1), Ordering::Equal),
            (&[Float(1e300), Float(5e-324), Float(-1e300)], Int(0), Ordering::Greater),
            (&[Float(-5e-324)], Int(0), Ordering::Less),
            (&[Int(i128::MAX), Int(i128::MAX)], Int(i128::MAX), Ordering::Greater),
            (&[Int(i128::MIN), Int(i128::MIN), Int(i128::MAX), Int(i128::MAX)], Int(-2), Ordering::Equal),
            (&[Int(1 << 53), Int(1)], Float((1u64 << 53) as f64), Ordering::Greater),
            (&[Float(f64::MAX), Float(f64::MAX)], Float(f64::MAX), Ordering::Greater),
            // 0.1 and 0.2 are not what they seem, and their exact sum is above the f64 nearest to 0.3.
            (&[Float(0.1), Float(0.2)], Float(0.3), Ordering::Greater),
        ];
        for (numbers, bound, expected) in cases {
            assert_eq!(of(numbers).compare(*bound, 1), *expected, "{numbers:?} {bound:?}");
        }
    }

    #[test]
    fn what_is_taken_away_leaves_nothing_behind() {
        let numbers: Vec<Number> = (0..1000)
            .map(|n| if n % 3 == 0 { Number::Int(n << 90) } else { Number::Float(f64::from(n as u32) * 1e-7) })
            .collect();
        let mut sum = of(&numbers);
        sum.add(Number::Int(7));
        for n in numbers.iter().rev() {
            sum.remove(*n);
        }
        assert_eq!(sum.compare(Number::Int(7), 1), Ordering::Equal);
        assert!(sum.wide.is_none());
    }

    #[test]
    fn a_count_multiplies_the_bound() {
        assert_eq!(of(&[Number::Int(1), Number::Int(2)]).compare(Number::Float(1.5), 2), Ordering::Equal);
        assert_eq!(of(&[Number::Int(1), Number::Int(2)]).compare(Number::Int(-1), 2), Ordering::Greater);
        assert_eq!(of(&[Number::Int(i128::MAX)]).compare(Number::Int(i128::MAX), 100_000), Ordering::Less);
    }
}
