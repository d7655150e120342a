//! With which key are the files of a data version encrypted?
//!
//! Parquet modular encryption (AES-256-GCM), footer and all columns under one key that no other version has. The manifest
//! holds that key, sealed under a key derived from the file key; the file key lies sealed under the root key, and that
//! under the master key. Who may read what is decided elsewhere: this is about copies of the disk.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use datafusion::{
    common::config::TableParquetOptions,
    parquet::encryption::{decrypt::FileDecryptionProperties, encrypt::FileEncryptionProperties},
};

use super::layout::LayoutFault;
use crate::{
    keys::SecretKey,
    terms::{DataVersion, DatasetName},
};

/// The key of one data version.
pub struct VersionKey(SecretKey);

impl VersionKey {
    /// A fresh key; none where the operating system gives no randomness.
    #[must_use]
    pub fn fresh() -> Option<Self> {
        SecretKey::fresh().map(Self)
    }

    /// The key as the manifest holds it.
    #[must_use]
    pub fn wrapped(&self, file_key: &[u8; 32], dataset: &DatasetName, version: DataVersion) -> Option<String> {
        let sealed = wrapping(file_key)?.seal(&name(dataset, version), self.0.bytes())?;
        Some(STANDARD.encode(sealed))
    }

    /// The key that a manifest holds.
    ///
    /// # Errors
    /// [`LayoutFault::Key`] where it was wrapped under another file key, for another version, or changed.
    pub fn unwrap_from(
        wrapped: &str,
        file_key: &[u8; 32],
        dataset: &DatasetName,
        version: DataVersion,
    ) -> Result<Self, LayoutFault> {
        let open = || {
            let sealed = STANDARD.decode(wrapped).ok()?;
            SecretKey::of(&wrapping(file_key)?.unseal(&name(dataset, version), &sealed)?)
        };
        open().map(Self).ok_or(LayoutFault::Key)
    }

    /// How files are written.
    ///
    /// # Errors
    /// [`LayoutFault::Key`] where the Parquet writer refuses the key.
    pub fn encryption(&self) -> Result<Arc<FileEncryptionProperties>, LayoutFault> {
        FileEncryptionProperties::builder(self.0.bytes().to_vec()).build().map_err(|_| LayoutFault::Key)
    }

    /// How one file is read.
    ///
    /// # Errors
    /// [`LayoutFault::Key`] where the Parquet reader refuses the key.
    pub fn decryption(&self) -> Result<Arc<FileDecryptionProperties>, LayoutFault> {
        FileDecryptionProperties::builder(self.0.bytes().to_vec()).build().map_err(|_| LayoutFault::Key)
    }

    /// How a table of such files is read.
    ///
    /// # Errors
    /// As [`VersionKey::decryption`].
    pub fn reading(&self) -> Result<TableParquetOptions, LayoutFault> {
        let mut options = TableParquetOptions::default();
        options.crypto.file_decryption = Some((&self.decryption()?).try_into().map_err(|_| LayoutFault::Key)?);
        Ok(options)
    }
}

impl fmt::Debug for VersionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VersionKey")
    }
}

fn wrapping(file_key: &[u8; 32]) -> Option<SecretKey> {
    SecretKey::of(file_key)?.derive("sekisho data version keys 1")
}

fn name(dataset: &DatasetName, version: DataVersion) -> String {
    format!("{dataset} {version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_opens_for_its_version_and_its_file_key_alone() {
        let (demo, other) = (DatasetName::new("demo").unwrap(), DatasetName::new("other").unwrap());
        let key = VersionKey::fresh().unwrap();
        let wrapped = key.wrapped(&[1; 32], &demo, DataVersion(3)).unwrap();
        let opened = VersionKey::unwrap_from(&wrapped, &[1; 32], &demo, DataVersion(3)).unwrap();
        assert_eq!(opened.0.bytes(), key.0.bytes());
        assert!(VersionKey::unwrap_from(&wrapped, &[2; 32], &demo, DataVersion(3)).is_err());
        assert!(VersionKey::unwrap_from(&wrapped, &[1; 32], &other, DataVersion(3)).is_err());
        assert!(VersionKey::unwrap_from(&wrapped, &[1; 32], &demo, DataVersion(4)).is_err());
        assert!(VersionKey::unwrap_from("", &[1; 32], &demo, DataVersion(3)).is_err());
    }
}
