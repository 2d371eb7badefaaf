//! Just enough of Redis's protocol to say something to a server and to read what it answers.

use std::io::{self, BufRead, BufReader, Error, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Nothing is there.
    Nil,
    /// A status or a string.
    Text(String),
    /// A number.
    Integer(i64),
    /// It refused.
    Error(String),
    /// Several answers in one.
    List(Vec<Self>),
}

impl Reply {
    /// The text of a status or a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of a list; none where it is something else.
    pub(crate) fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }
}

/// One command on a connection of its own; each step of it may take `patience`.
pub(crate) fn call(address: SocketAddr, words: &[&str], patience: Duration) -> io::Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command += &format!("${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(command.as_bytes())?;
    read(&mut BufReader::new(stream))
}

fn read(reader: &mut impl BufRead) -> io::Result<Reply> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let unexpected = || Error::other(format!("no reply: {line:?}"));
    let (kind, rest) = line.trim_end().split_at_checked(1).ok_or_else(unexpected)?;
    let number = || rest.parse::<i64>().map_err(|_| unexpected());
    match kind {
        "+" => Ok(Reply::Text(rest.to_owned())),
        "-" => Ok(Reply::Error(rest.to_owned())),
        ":" => number().map(Reply::Integer),
        "$" => match usize::try_from(number()?) {
            Ok(length) => bulk(reader, length),
            Err(_) => Ok(Reply::Nil),
        },
        "*" => match usize::try_from(number()?) {
            Ok(count) => {
                (0..count).map(|_| read(reader)).collect::<Result<_, _>>().map(Reply::List)
            }
            Err(_) => Ok(Reply::Nil),
        },
        _ => Err(unexpected()),
    }
}

fn bulk(reader: &mut impl BufRead, length: usize) -> io::Result<Reply> {
    let mut bytes = vec![0; length + 2];
    reader.read_exact(&mut bytes)?;
    bytes.truncate(length);
    Ok(Reply::Text(String::from_utf8_lossy(&bytes).into_owned()))
}
