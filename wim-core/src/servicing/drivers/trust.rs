//! Makes an image trust who signed a package, so that Windows does not ask when it installs the device.
//!
//! Source: drivers.md 7.5. A certificate lies in the registry as a list of properties; two of them are enough. It is done on request
//! only, and never for a catalog whose signature does not hold.

use super::options::Publisher;
use super::place::Done;
use super::registry_lines::{Overwrite, RegistryWriter};
use super::signature::SignatureReport;
use super::staged::Staged;
use crate::base::Result;
use crate::formats::catalog::{Catalog, Certificate};
use crate::formats::hive::RegValue;
use crate::servicing::hive_set::{HiveName, HiveSet};

/// Where machine-wide certificates lie in SOFTWARE.
const CERTIFICATES: &str = "Microsoft\\SystemCertificates";
/// Properties of a certificate: its SHA-1, itself.
const SHA1_PROPERTY: u32 = 3;
const CERTIFICATE_PROPERTY: u32 = 32;

/// Puts the certificates of a package into the image's stores, as asked; says what it did or why it did not.
///
/// # Errors
/// What editing the SOFTWARE hive gives.
pub(super) fn trust(
    staged: &Staged,
    signature: &SignatureReport,
    publisher: Publisher,
    hives: &mut HiveSet<'_>,
    done: &mut Done,
) -> Result<()> {
    if publisher == Publisher::Unchanged {
        return Ok(());
    }
    let bytes = staged.catalog_bytes()?.filter(|_| signature.is_signed());
    let catalog = bytes.and_then(|bytes| Catalog::parse(&bytes).ok());
    let chain = catalog.and_then(|catalog| Some(catalog.signed.signer()?.chain.clone())).unwrap_or_default();
    let Some(leaf) = chain.first() else {
        done.findings.push("nobody signed it, so there is no publisher to trust".to_owned());
        return Ok(());
    };
    let reason = format!("publisher {} trusted, as asked", leaf.subject);
    let mut registry = RegistryWriter::new(hives, Overwrite::All, &reason)?;
    done.findings.push(add(&mut registry, "TrustedPublisher", leaf)?);
    let root = chain.last().filter(|root| root.is_self_issued());
    match (publisher, root) {
        (Publisher::TrustWithRoot, Some(root)) => done.findings.push(add(&mut registry, "ROOT", root)?),
        (Publisher::TrustWithRoot, None) => {
            let text = "its catalog does not hold the root of its signer; nothing was added to ROOT";
            done.findings.push(text.to_owned());
        }
        _ => {}
    }
    done.kept.extend(registry.finish().1);
    Ok(())
}

fn add(registry: &mut RegistryWriter<'_, '_>, store: &str, certificate: &Certificate) -> Result<String> {
    use std::fmt::Write;
    let thumbprint = certificate.thumbprint();
    let name = thumbprint.iter().fold(String::new(), |mut name, byte| {
        let _ = write!(name, "{byte:02X}");
        name
    });
    let mut blob = Vec::new();
    for (property, data) in [(SHA1_PROPERTY, &thumbprint), (CERTIFICATE_PROPERTY, &certificate.bytes)] {
        blob.extend(property.to_le_bytes());
        blob.extend(1_u32.to_le_bytes());
        blob.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes());
        blob.extend(data);
    }
    let key = format!("{CERTIFICATES}\\{store}\\Certificates\\{name}");
    registry.set(HiveName::Software, &key, "Blob", RegValue::binary(blob))?;
    Ok(format!("{} ({name}) is trusted by the image: {store}", certificate.subject))
}
