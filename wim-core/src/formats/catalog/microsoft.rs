//! The public keys of Microsoft's roots: where the chain of a driver that Microsoft signed ends.
//!
//! drivers.md 7.3 names the roots. Catalogs do not hold them, so their keys stand here; certificates of vendors end in other roots,
//! which are Windows' to know, unless the catalog has the cross-certificate by which Microsoft vouches for one. Nothing here looks at dates, since a signature outlives its certificates.

use super::certificate::Certificate;
use crate::base::hex;

/// The root that vouches for those of other certification authorities, for kernel drivers alone: it signed cross-certificates.
pub const CODE_VERIFICATION_ROOT: &str = "Microsoft Code Verification Root";

/// A root's key.
struct Root {
    /// The name in its certificate.
    name: &'static str,
    /// Modulus in hexadecimal; the exponent is 65537.
    modulus: &'static str,
}

const EXPONENT: [u8; 3] = [1, 0, 1];

/// The roots, from Microsoft's certificates with the thumbprints (SHA-1) named; issuing authorities that catalogs of drivers hold
/// are signed with each of these keys. That of the last was computed from what it signed.
const ROOTS: [Root; 4] = [
    // Thumbprint A43489159A520F0D93D032CCAF37E7FE20A8B419, 1997 to 2020; it signed "Microsoft Timestamping PCA".
    Root {
        name: "Microsoft Root Authority",
        modulus: "\
        a902bdc170e63bf24e1b289f97785e30eaa2a98d255ff8fe954ca3b7fe9da2203e7c51a29ba28f60326bd1426479eeac\
        76c954daf2eb9c861c8f9f8466b3c56b7a6223d61d3cde0f0192e896c4bf2d669a9a682699d03a2cbf0cb55826c146e7\
        0a3e38962ca92839a8ec498342e3840fbb9a6c5561ac827ca1602d774ce999b4643b9a501c310824149fa9e7912b18e6\
        3d986314605805659f1d375287f7a7ef9402c61bd3bf5545b38980bf3aec54944eaefda77a6d744eaf18cc9609282100\
        5790606937bb4b12073c56ff5bfba4660a08a6d2815657efb63b5e16817704daf6beae8095feb0cd7fd6a71a725c3cca\
        bcf008a32230b30685c9b320771385df",
    },
    // Thumbprint CDD4EEAE6000AC7F40C3802C171E30148030C072, 2001 to 2021; it signed "Microsoft Windows Hardware Compatibility PCA"
    // of 2012 (key fd06a98892a0d7c1…) and of 2018 (key 1260e885ecb28a37…), which the catalogs of most drivers hold.
    Root {
        name: "Microsoft Root Certificate Authority",
        modulus: "\
        f35dfa8067d45aa7a90c2c9020d035083c7584cdb707899c89dadecec360fa91685a9e94712918767cc2e0c82576940e\
        58fa043436e6dfaff780bae9580b2b93e59d05e3772291f734643c22911d5ee10990bc14fefc755819e179b70792a3ae\
        885908d89f07ca0358fc68296d32d7d2a8cb4bfce10b48324fe6ebb8ad4fe45c6f139499db95d575dba81ab79491b477\
        5bf5480c8f6a797d1470047d6daf90f5da70d847b7bf9b2f6ce705b7e11160ac7991147cc5d6a6e4e17ed5c37ee592d2\
        3c00b53682de79e16df3b56ef89f33c9cb527d739836db8ba16ba295979ba3dec24d26ff0696672506c8e7ace4ee1233\
        953199c835084e34ca7953d5b5be6332594036c0a54e044d3ddb5b0733e458bfef3f5364d842593557fd0f457c24044d\
        9ed6387411972290ce684474926fd54b6fb086e3c73642a0d0fcc1c05af9a361b9304771960a16b091c04295ef107f28\
        6ae32a1fb1e4cd033f777104c720fc490f1d4588a4d7cb7e88ad8e2dec45dbc45104c92afcec869e9a11975bdece5388\
        e6e2b7fdac95c22840dbef0490df813339d9b245a5238706a5558931bb062d600e41187d1f2eb597cb11eb15d524a594\
        ef151489fd4b73fa325bfcd13300f95962700732ea2eab402d7bcadd21671b30998f16aa23a841d1b06e119b36c4de40\
        749ce15865c1601e7a5b38c88fbb04267cd41640e5b66b6caa86fd00bfcec135",
    },
    // Thumbprint 3B1EFD3A66EA28B16697394703A72CA340A05BD5, 2010 to 2035; it signed "Microsoft Windows Third Party Component CA 2012"
    // (key d8ead86f31ec80e2…) and its successors, of drivers with SHA-2.
    Root {
        name: "Microsoft Root Certificate Authority 2010",
        modulus: "\
        b9089e28e4e4ec064e5068b341c57bebaeb68eaf81ba22441f6534694cbe704017f2167be279fd86ed0d39f41ba8ad92\
        901ecb3d768f5ad9b591102e3c058d8a6d2454e71fed56ad83b4509c15a51774885920fc08c58476d368d46f2878ce5c\
        b8f3509044ffe3635fbea19a2c961504d607fe1e8421e0423111c4283694cf50a4629ec9d6ab7100b25b0ce696d40a24\
        96f5ffc6d5b71bd7cbb72162af12dca15d37e31afb1a4698c09bc0e7631f2a0893027e1e6a8ef29f1889e42285a2b184\
        5740fff50ed86f9cede2453101cd17e97fb08145e3aa214026a172aaa74f3c01057eee8358b15e06639962917882b70d\
        930c246ab41bdb27ec5f95043f934a30f59718b3a7f919a793331d01c8db22525cd725c946f9a2fb875943be9b62b18d\
        2d86441a46ac78617e3009faae89c4412a2266039139459cc78b0ca8ca0d2ffb52ea0cf76333239dfeb01fad67d6a750\
        03c6047063b52cb1865a43b7fbaef96e296e21214126068cc9c3eeb0c28593a1b985d9e6326c4b4c3fd65da3e5b59d77\
        c39cc055b77400e3b838ab839750e19a42241dc6c0a330d11a5ac85234f773f1c7181f33ad7aeccb4160f3239420c248\
        45ac5c51c62e80c2e27715bd8587ed369d9691ee00b5a370ec9fe38d80688376baaf5d70522216e266fbbab3c5c2f73e\
        2f77a6cadec1a6c6484cc3375123d327d7b84e7096f0a14476af78cf9ae16613",
    },
    // Thumbprint 8FBE4D070EF8AB1BCCAF2A9D5CCAE7282A2C66B3, 2005 to 2025; it signed the cross-certificates of VeriSign, DigiCert,
    // GlobalSign, AddTrust and USERTrust that drivers have inside. The modulus is the greatest common divisor of what two of these
    // signatures say of it; it fits all six at hand, and the SHA-1 of its SubjectPublicKeyInfo is the identifier (62fb0a21…) that they
    // name as their issuer's.
    Root {
        name: CODE_VERIFICATION_ROOT,
        modulus: "\
        bd77c91c7f157838c50743215afbe4cc3bc65531fc2189b1bce7019cfb90be20115576a74d02e7b2f42e8defb2874656\
        ca47cec8c363e308034b9606b9702244e64b7b443f75b7b8a62b910841ef4b0759d6a4199df6cba4bb8e02654dcade0f\
        b49022f1b56b5c22f6caf938aa280b062d3c198db7355f83eddd65738446929f44e2894a8cd598a76d3de819cb44ad18\
        0bea5c5f7c0bc39a936844f3b6bf979930723f2859d070c8055778f54a82340a24c17ab064a53a6e12d5036138bb0e2d\
        fd859cd648756a1cb2a2e891fab7e4f53c5ffdc940acc7a042f574d8b9dbd7fe73771ae0c4b709b1059a6de35e803875\
        7852b612d379ae43f765a7d1166469858f783ab894bf4512625a4d8748d6f819bc590106f51adb60299f013f6e73f9fd\
        8045ce95d78af6920cc173402c6daa32a6f17f30f890f1ae4527b9b40e3002bdc60eec3c8c5bb63485cf140b0c500da9\
        e259912ea80139f42c15630480b840df62f7feb74c13a82ca966133862fc4070627b7577d52b8e1ba599e5b9b7c7adea\
        01a0257b5846525654a2c9922b581d4851c01ffe3700d1e2ab10c2a959e942996e8fb51e4766741e98765757045ebd2f\
        8593d50e0b9f2e7b2664a78612095063e7d1c78e7e0e3b07e7bbe4cd1a40d47aba05594ad6d0eedc965e224a271c45e3\
        dedab2e9d343fde96fc0c97d1ffd9f909c862008cc74dc40a729b3ab58656bb1",
    },
];

/// Authorities that one of the roots certified and that sign what publishes drivers: SHA-256 of the SubjectPublicKeyInfo, and the
/// root. They save checking the root's signature; each was checked once with the key above, when it was taken from a catalog.
const ISSUERS: [(&str, &str); 3] = [
    // "Microsoft Windows Hardware Compatibility PCA" of 2012, from the catalogs of most real packages, Samsung's NVMe 1.4.0.0 for one.
    (
        "fd06a98892a0d7c139db065fb937950b4b1f099e71d20f3e067b267e99a9c4bd",
        "Microsoft Root Certificate Authority",
    ),
    // The same of 2018, from the catalogs of Intel's NVMe 4.4.0.1003 and ASMedia's USB 3 1.16.58.1.
    (
        "1260e885ecb28a37f9e6d0049e9d921a932cfdc4d81e417ffa18b17407f40a62",
        "Microsoft Root Certificate Authority",
    ),
    // "Microsoft Windows Third Party Component CA 2012", from the catalog of Realtek's PCIe adapters 7.130.
    (
        "d8ead86f31ec80e23a9b88ea8214e6dd01ed7c6727333e791f0af6d20f14a407",
        "Microsoft Root Certificate Authority 2010",
    ),
];

/// The root of Microsoft's in which `chain` ends, each certificate of which is signed by the next: the last has its key or that of
/// an authority of [`ISSUERS`], or is signed with the root's, and whoever signed another is an authority.
pub(super) fn root_of(chain: &[Certificate]) -> Option<&'static str> {
    let last = chain.last()?;
    if !chain.iter().skip(1).all(|certificate| certificate.is_authority) {
        return None;
    }
    let key = hex::encode(&last.key_sha256);
    if let Some((_, root)) = ISSUERS.iter().find(|(known, _)| *known == key) {
        return Some(root);
    }
    last.microsoft_root()
}

impl Certificate {
    /// The root of Microsoft's whose key it has, or that signed it.
    #[must_use]
    pub fn microsoft_root(&self) -> Option<&'static str> {
        // A key of 4096 bits takes some ten milliseconds: only that of the root which is named.
        let root = ROOTS.iter().filter(|root| root.name == self.issuer).find(|root| {
            let modulus = hex::decode(root.modulus).unwrap_or_default();
            self.has_key(&modulus, &EXPONENT) || self.is_signed_with(&modulus, &EXPONENT)
        })?;
        Some(root.name)
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// SHA-256 of the SubjectPublicKeyInfo of each root.
    const KEYS: [&str; 4] = [
        "4462c107c485dd6a5443f5e7a1604416034a374c3f4d10875f1c3715027563af",
        "df530bac9fcd914c252c2fbdceddc6183d4ae8c680ad65f03e204861dd7b1c73",
        "c9905b0ee01202293ca026e64f08412442c5504c06e44ca7e9726d61f20e4089",
        "296b274011cfcbaaf337e9d7950e256a651aa5071a24e8a8393e87249b00d62f",
    ];

    #[test]
    fn the_keys_are_those_of_the_roots() {
        for (root, expected) in ROOTS.iter().zip(KEYS) {
            let modulus = hex::decode(root.modulus).unwrap();
            let head = match modulus.len() {
                256 => "30820122300d06092a864886f70d01010105000382010f003082010a0282010100",
                512 => "30820222300d06092a864886f70d01010105000382020f003082020a0282020100",
                other => panic!("{} bytes", other),
            };
            let key = [hex::decode(head).unwrap(), modulus, vec![2, 3, 1, 0, 1]].concat();
            assert_eq!(hex::encode(&Sha256::digest(&key)), expected, "{}", root.name);
        }
    }
}
