//! Where does a password come from that is never an argument?

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Write},
    path::Path,
    process::{Command, Stdio},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::stop::Stop;

const BYTES_MAX: u64 = 4096;

/// The first line of `file`; of standard input where that is `-` or none is given. A terminal is asked, without echo.
///
/// # Errors
/// [`Stop::Usage`] where there is no such file or nothing in it.
pub fn password(file: Option<&Path>, whose: &str, err: &mut dyn Write) -> Result<String, Stop> {
    let line = match file.filter(|path| *path != Path::new("-")) {
        Some(path) => {
            let opened = File::open(path).map_err(|fault| Stop::Usage(format!("{}: {fault}", path.display())))?;
            first_line(BufReader::new(opened))
        }
        None if io::stdin().is_terminal() => ask(whose, err),
        None => first_line(io::stdin().lock()),
    };
    match line {
        Ok(line) if !line.is_empty() => Ok(line),
        Ok(_) => Err(Stop::Usage(format!("there is no password for {whose}"))),
        Err(fault) => Err(Stop::Usage(format!("the password for {whose} could not be read: {fault}"))),
    }
}

/// A password that nobody has to remember.
///
/// # Errors
/// [`Stop::Fault`] where the operating system gives no randomness.
pub fn fresh() -> Result<String, Stop> {
    let mut bytes = [0_u8; 18];
    getrandom::fill(&mut bytes).map_err(|_| Stop::Fault("no randomness from the operating system".into()))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

fn ask(whose: &str, err: &mut dyn Write) -> io::Result<String> {
    write!(err, "Password for {whose}: ")?;
    err.flush()?;
    let hidden = echo(false);
    let line = first_line(io::stdin().lock());
    if hidden {
        echo(true);
    }
    writeln!(err)?;
    line
}

/// Switches the terminal's echo; whether that worked.
fn echo(on: bool) -> bool {
    let word = if on { "echo" } else { "-echo" };
    Command::new("stty").arg(word).stdin(Stdio::inherit()).status().is_ok_and(|status| status.success())
}

fn first_line(from: impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.take(BYTES_MAX).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_the_file_is_the_password() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "correct horse \r\nsecond line\n").unwrap();
        assert_eq!(password(Some(&file), "hanako", &mut Vec::new()).unwrap(), "correct horse ");
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(password(Some(&file), "hanako", &mut Vec::new()).unwrap_err().status(), 2);
        assert_eq!(password(Some(&dir.path().join("none")), "hanako", &mut Vec::new()).unwrap_err().status(), 2);
    }

    #[test]
    fn fresh_passwords_differ_and_are_long_enough() {
        let (one, two) = (fresh().unwrap(), fresh().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 24);
    }
}
