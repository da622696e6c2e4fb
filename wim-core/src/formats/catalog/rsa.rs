//! Checking RSA signatures of the form PKCS #1 v1.5 (RFC 8017, 8.2.2).
//!
//! Public keys and public data only, so nothing has to be hidden and time does not matter: a signature takes some
//! milliseconds. It never signs or decrypts.

use super::DigestKind;

/// Longest modulus in bytes; Microsoft's roots have 4096 bits.
const MAX_MODULUS: usize = 512;
/// Longest exponent in bytes.
const MAX_EXPONENT: usize = 4;
/// Largest exponent, which is the usual one; larger ones cost time and gain nothing.
const LARGEST_EXPONENT: u32 = 65537;

/// The start of a `DigestInfo`, up to the digest.
fn digest_info(kind: DigestKind) -> &'static [u8] {
    match kind {
        DigestKind::Sha1 => {
            &[0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2B, 0x0E, 0x03, 0x02, 0x1A, 0x05, 0x00, 0x04, 0x14]
        }
        DigestKind::Sha256 => &[
            0x30, 0x31, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
            0x00, 0x04, 0x20,
        ],
        DigestKind::Sha384 => &[
            0x30, 0x41, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05,
            0x00, 0x04, 0x30,
        ],
        DigestKind::Sha512 => &[
            0x30, 0x51, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05,
            0x00, 0x04, 0x40,
        ],
    }
}

/// True when `signature` is that of a digest under the public key (`modulus`, `exponent`), all big-endian.
pub(super) fn is_signed(
    modulus: &[u8],
    exponent: &[u8],
    signature: &[u8],
    kind: DigestKind,
    digest: &[u8],
) -> bool {
    let modulus = strip(modulus);
    let exponent = strip(exponent);
    if modulus.len() > MAX_MODULUS || exponent.len() > MAX_EXPONENT || exponent.is_empty() {
        return false;
    }
    // An even or tiny modulus is no key.
    if modulus.len() < 64
        || modulus.last().is_none_or(|byte| byte & 1 == 0)
        || signature.len() != modulus.len()
    {
        return false;
    }
    let exponent = exponent.iter().fold(0_u32, |e, &byte| e << 8 | u32::from(byte));
    if !(3..=LARGEST_EXPONENT).contains(&exponent) || exponent & 1 == 0 {
        return false;
    }
    let n = Number::from_be(modulus, modulus.len());
    let s = Number::from_be(signature, modulus.len());
    if !s.is_below(&n) {
        return false;
    }
    let info = digest_info(kind);
    let Some(padding) = modulus.len().checked_sub(3 + info.len() + digest.len()).filter(|&n| n >= 8) else {
        return false;
    };
    let mut expected = vec![0, 1];
    expected.resize(2 + padding, 0xFF);
    expected.push(0);
    expected.extend(info);
    expected.extend(digest);
    s.power(exponent, &n) == Number::from_be(&expected, modulus.len())
}

/// A number without zeros in front.
pub(super) fn strip(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    bytes.get(zeros..).unwrap_or(&[])
}

/// A number below 2^(64·limbs), least significant limb first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Number(Vec<u64>);

impl Number {
    fn from_be(bytes: &[u8], width: usize) -> Self {
        let mut limbs = vec![0_u64; width.div_ceil(8)];
        for (index, &byte) in bytes.iter().rev().enumerate() {
            if let Some(limb) = limbs.get_mut(index / 8) {
                *limb |= u64::from(byte) << (8 * (index % 8));
            }
        }
        Self(limbs)
    }

    fn is_below(&self, other: &Self) -> bool {
        self.0.iter().rev().lt(other.0.iter().rev())
    }

    /// `self = self·2 + add mod n`, for `self` and `add` below `n`.
    fn double_add(&mut self, add: Option<&Self>, n: &Self) {
        let carry = self.0.iter_mut().fold(0, |carry, limb| {
            let out = *limb >> 63;
            *limb = *limb << 1 | carry;
            out
        });
        self.reduce(carry, n);
        if let Some(add) = add {
            let mut carry = false;
            for (a, b) in self.0.iter_mut().zip(&add.0) {
                let (first, over1) = a.overflowing_add(*b);
                let (second, over2) = first.overflowing_add(u64::from(carry));
                *a = second;
                carry = over1 || over2;
            }
            self.reduce(u64::from(carry), n);
        }
    }

    /// Subtracts `n` once when the number with its carry is not below it.
    fn reduce(&mut self, carry: u64, n: &Self) {
        if carry == 0 && self.is_below(n) {
            return;
        }
        let mut borrow = false;
        for (a, b) in self.0.iter_mut().zip(&n.0) {
            let (first, under1) = a.overflowing_sub(*b);
            let (second, under2) = first.overflowing_sub(u64::from(borrow));
            *a = second;
            borrow = under1 || under2;
        }
    }

    fn times(&self, other: &Self, n: &Self) -> Self {
        let mut product = Self(vec![0; n.0.len()]);
        for limb in other.0.iter().rev() {
            for bit in (0..64).rev() {
                product.double_add((limb >> bit & 1 == 1).then_some(self), n);
            }
        }
        product
    }

    fn power(&self, exponent: u32, n: &Self) -> Self {
        let mut result = self.clone();
        let bits = u32::BITS - exponent.leading_zeros();
        for bit in (0..bits.saturating_sub(1)).rev() {
            result = result.times(&result, n);
            if exponent >> bit & 1 == 1 {
                result = result.times(self, n);
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_agree_with_small_arithmetic() {
        let wide = |value: u64| Number(vec![value, 0]);
        let n: u64 = 0xFFFF_FFFF_FFFF_FFC5;
        for (base, exponent) in [(3_u64, 65537_u32), (n - 1, 3), (0x1234_5678_9ABC_DEF0, 17), (5, 1)] {
            let mut expected = 1_u128;
            for bit in (0..32).rev() {
                expected = expected * expected % u128::from(n);
                if exponent >> bit & 1 == 1 {
                    expected = expected * u128::from(base) % u128::from(n);
                }
            }
            assert_eq!(wide(base).power(exponent, &wide(n)).0[0], u64::try_from(expected).unwrap());
        }
    }

    #[test]
    fn exponents_beyond_the_usual_sign_nothing() {
        // With an exponent of 1 every padded digest is its own signature.
        let digest = [7; 20];
        let modulus = [0xFF; 64];
        let mut signature = vec![0, 1];
        signature.resize(64 - 36, 0xFF);
        signature.push(0);
        signature.extend(digest_info(DigestKind::Sha1));
        signature.extend(digest);
        for exponent in [&[1][..], &[2], &[1, 0, 3], &[0xFF; 4]] {
            assert!(!is_signed(&modulus, exponent, &signature, DigestKind::Sha1, &digest), "{exponent:?}");
        }
    }

    #[test]
    fn keys_that_are_none_sign_nothing() {
        let digest = [0; 20];
        for modulus in [&[][..], &[0; 256], &[0xFF; 600], &[0xFE; 64], &[3; 16]] {
            assert!(!is_signed(modulus, &[1, 0, 1], &vec![1; modulus.len()], DigestKind::Sha1, &digest));
        }
    }
}
