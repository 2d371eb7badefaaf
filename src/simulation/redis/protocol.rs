//! The store's protocol, as far as it is spoken here: commands in, replies of the third version out.

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Nil,
    Status(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Array(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    /// Not an answer: something that is pushed.
    Push(Vec<Reply>),
}

impl Reply {
    pub(super) fn ok() -> Self {
        Self::Status("OK".to_owned())
    }

    pub(super) fn text(text: &str) -> Self {
        Self::Bulk(text.as_bytes().to_vec())
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nil => out.extend(b"_\r\n"),
            Self::Status(text) => line(out, '+', text),
            Self::Error(text) => line(out, '-', &text.replace(['\r', '\n'], " ")),
            Self::Integer(number) => line(out, ':', &number.to_string()),
            Self::Bulk(bytes) => {
                line(out, '$', &bytes.len().to_string());
                out.extend(bytes);
                out.extend(b"\r\n");
            }
            Self::Array(replies) => several(out, '*', replies),
            Self::Push(replies) => several(out, '>', replies),
            Self::Map(pairs) => {
                line(out, '%', &pairs.len().to_string());
                for (key, value) in pairs {
                    key.write(out);
                    value.write(out);
                }
            }
        }
    }
}

fn several(out: &mut Vec<u8>, kind: char, replies: &[Reply]) {
    line(out, kind, &replies.len().to_string());
    replies.iter().for_each(|reply| reply.write(out));
}

fn line(out: &mut Vec<u8>, kind: char, text: &str) {
    out.extend(format!("{kind}{text}\r\n").as_bytes());
}

/// Takes the first whole command out of what has come; `None` where there is none yet.
pub(super) fn take_command(buffer: &mut Vec<u8>) -> Option<Vec<Vec<u8>>> {
    let mut at = 0;
    let count = number(buffer, &mut at, b'*')?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let length = number(buffer, &mut at, b'$')?;
        words.push(buffer.get(at..at + length)?.to_vec());
        at += length + 2;
    }
    if buffer.len() < at {
        return None;
    }
    buffer.drain(..at);
    Some(words)
}

/// The number on the line that begins at `at`; it goes on to the next line.
#[track_caller]
fn number(buffer: &[u8], at: &mut usize, kind: u8) -> Option<usize> {
    let rest = &buffer[(*at).min(buffer.len())..];
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    assert_eq!(rest[0], kind, "no command: {:?}", String::from_utf8_lossy(rest));
    *at += end + 2;
    Some(std::str::from_utf8(&rest[1..end]).unwrap().parse().unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_whole_and_one_by_one() {
        let whole = b"*2\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n*1\r\n$4\r\nPING\r\n";
        for cut in 0..22 {
            let mut buffer = whole[..cut].to_vec();
            assert_eq!(take_command(&mut buffer), None, "{cut}");
            assert_eq!(buffer.len(), cut);
        }

        let mut buffer = whole.to_vec();

        assert_eq!(take_command(&mut buffer), Some(vec![b"GET".to_vec(), b"a\r\n".to_vec()]));
        assert_eq!(take_command(&mut buffer), Some(vec![b"PING".to_vec()]));
        assert_eq!(take_command(&mut buffer), None);
    }
}
