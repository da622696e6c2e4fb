//! Base-2 logarithms in fixed point, for estimates of what a symbol or a whole code will cost.
//!
//! Integers only, so that every machine makes the same choices and writes the same bytes. Costs are in units of
//! 1/64 bit ([`BIT`]); exact costs come from real codes, not from here.

/// One bit, in the unit of all costs.
pub const BIT: u32 = 64;

const TABLE_BITS: u32 = 11;
const TABLE_LEN: usize = 1 << TABLE_BITS;

/// `LOG2[n]` is log2(n) in units of 1/64 bit, rounded; entry 0 holds 0.
static LOG2: [u16; TABLE_LEN] = {
    let mut table = [0; TABLE_LEN];
    let mut n = 2;
    while n < TABLE_LEN {
        table[n] = log2_slowly(n as u64);
        n += 1;
    }
    table
};

/// log2 in units of 1/64 bit, by squaring: each squaring of the mantissa yields one more binary digit.
const fn log2_slowly(n: u64) -> u16 {
    let integer = 63 - n.leading_zeros();
    let mut mantissa = n << (31 - integer);
    let mut digits: u16 = 0;
    let mut i = 0;
    while i < 7 {
        mantissa = (mantissa * mantissa) >> 31;
        digits <<= 1;
        if mantissa >= 1 << 32 {
            mantissa >>= 1;
            digits |= 1;
        }
        i += 1;
    }
    (integer as u16) * 64 + digits.div_ceil(2)
}

/// log2(`n`) in units of 1/64 bit; 0 for 0.
#[inline(always)]
#[must_use]
pub fn log2_cost(n: u32) -> u32 {
    if (n as usize) < TABLE_LEN {
        return u32::from(LOG2[n as usize]);
    }
    let shift = 32 - TABLE_BITS - n.leading_zeros();
    u32::from(LOG2[(n >> shift) as usize]) + shift * BIT
}

/// `WEIGHTED[n]` is n log2(n) in units of 1/64 bit, for the frequencies that nearly all symbols have.
static WEIGHTED: [u32; 1024] = {
    let mut table = [0; 1024];
    let mut n = 0;
    while n < 1024 {
        table[n] = n as u32 * LOG2[n] as u32;
        n += 1;
    }
    table
};

/// Bits, in units of 1/64 bit, that an ideal code spends on symbols with these frequencies, and how many are used.
#[must_use]
pub fn entropy_cost(frequencies: &[u32]) -> (u64, u32) {
    let (mut total, mut used, mut weighted) = (0u32, 0, 0u64);
    for &n in frequencies {
        total += n;
        used += u32::from(n > 0);
        weighted += match WEIGHTED.get(n as usize) {
            Some(&product) => u64::from(product),
            None => u64::from(n) * u64::from(log2_cost(n)),
        };
    }
    ((u64::from(total) * u64::from(log2_cost(total))).saturating_sub(weighted), used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_within_a_unit() {
        for n in (1..5000).chain([65535, 65536, 1 << 21, u32::MAX]) {
            let exact = f64::from(n).log2() * f64::from(BIT);
            assert!((f64::from(log2_cost(n)) - exact).abs() < 1.0, "{n}");
        }
        assert_eq!(log2_cost(0), 0);
    }

    #[test]
    fn equal_frequencies_cost_their_logarithm() {
        assert_eq!(entropy_cost(&[5, 5, 0, 5, 5]), (20 * 2 * u64::from(BIT), 4));
        assert_eq!(entropy_cost(&[0, 9]), (0, 1));
        assert_eq!(entropy_cost(&[]), (0, 0));
    }
}
