//! A small client of the queues' language STOMP 1.2: one connection, one subscription, sends that
//! are confirmed. As little as the delivery job needs.

use std::collections::HashMap;
use std::io::{Error, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

pub(crate) struct Stomp {
    frames: UnboundedSender<String>,
    sends: AtomicU64,
    unconfirmed: Unconfirmed,
}

/// Sends by number that the broker has not confirmed; `None` when the connection is gone.
type Unconfirmed = Arc<Mutex<Option<HashMap<String, oneshot::Sender<()>>>>>;

impl Stomp {
    /// Connects to `stomp://[login:passcode@]host:port`, and takes what comes to this queue.
    pub(crate) async fn connect(
        url: &str,
        queue: &str,
    ) -> std::io::Result<(Self, UnboundedReceiver<String>)> {
        let stream = TcpStream::connect(crate::servers::peer(url)).await?;
        stream.set_nodelay(true)?;
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        writer.write_all(hello(url).as_bytes()).await?;
        let answer = Frame::read(&mut reader).await?;
        if answer.command != "CONNECTED" {
            return Err(Error::other(answer.complaint()));
        }
        let subscribe = format!("SUBSCRIBE\nid:0\ndestination:{queue}\nack:auto\n\n\0");
        writer.write_all(subscribe.as_bytes()).await?;

        let (frames, to_write) = unbounded_channel();
        let (message, messages) = unbounded_channel();
        let unconfirmed = Unconfirmed::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(write(writer, to_write));
        tokio::spawn(read(reader, message, unconfirmed.clone()));
        let stomp = Self {
            frames,
            sends: AtomicU64::new(0),
            unconfirmed,
        };
        Ok((stomp, messages))
    }

    /// Comes back when the broker has confirmed that the message is in the queue.
    pub(crate) async fn send(&self, queue: &str, message: &str) -> std::io::Result<()> {
        let number = self.sends.fetch_add(1, Ordering::Relaxed).to_string();
        let frame = format!(
            "SEND\ndestination:{queue}\ncontent-type:text/plain\nreceipt:{number}\n\n{message}\0"
        );
        let (confirm, confirmed) = oneshot::channel();
        let gone = || Error::from(ErrorKind::BrokenPipe);
        match &mut *locked(&self.unconfirmed) {
            Some(unconfirmed) => drop(unconfirmed.insert(number, confirm)),
            None => return Err(gone()),
        }
        self.frames.send(frame).map_err(|_| gone())?;
        confirmed.await.map_err(|_| gone())
    }
}

fn hello(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let login = rest.rsplit_once('@').map_or(String::new(), |(login, _)| {
        let (login, passcode) = login.split_once(':').unwrap_or((login, ""));
        format!("login:{login}\npasscode:{passcode}\n")
    });
    // A broker's first virtual host has this name in RabbitMQ; ActiveMQ does not ask for one.
    format!("CONNECT\naccept-version:1.2\nhost:/\nheart-beat:0,0\n{login}\n\0")
}

/// A task of its own: a broker that takes no more bytes must not keep us from reading what it has.
async fn write(mut writer: OwnedWriteHalf, mut frames: UnboundedReceiver<String>) {
    while let Some(frame) = frames.recv().await {
        if writer.write_all(frame.as_bytes()).await.is_err() {
            return; // the reading end learns of it too, and tells everybody
        }
    }
}

async fn read(
    mut reader: BufReader<OwnedReadHalf>,
    messages: UnboundedSender<String>,
    unconfirmed: Unconfirmed,
) {
    while let Ok(frame) = Frame::read(&mut reader).await {
        match frame.command.as_str() {
            "MESSAGE" => drop(messages.send(frame.body)),
            "RECEIPT" => {
                let number = frame.header("receipt-id").unwrap_or_default();
                let confirm = locked(&unconfirmed).as_mut().and_then(|u| u.remove(number));
                confirm.map(|confirm| confirm.send(()));
            }
            // After an ERROR the broker hangs up.
            _ => {}
        }
    }
    locked(&unconfirmed).take();
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Frame {
    command: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Frame {
    /// The next one. Bodies are ours, and so text without a zero byte.
    async fn read(reader: &mut BufReader<OwnedReadHalf>) -> std::io::Result<Self> {
        let mut bytes = Vec::new();
        reader.read_until(0, &mut bytes).await?;
        if bytes.pop() != Some(0) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let text =
            String::from_utf8(bytes).map_err(|why| Error::new(ErrorKind::InvalidData, why))?;
        Ok(Self::parse(&text))
    }

    /// Line ends before a frame are heart-beats, and stand between frames as well.
    fn parse(text: &str) -> Self {
        let text = text.trim_start().replace("\r\n", "\n");
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        Self {
            command: lines.next().unwrap_or_default().to_owned(),
            headers: lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn complaint(&self) -> String {
        let why = self.header("message").unwrap_or(self.body.trim());
        format!("it answers {} {why}", self.command)
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, Stomp};
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    /// A broker for one client that gives back what it is sent, and hangs up at "stop".
    fn broker() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("stomp://guest:word@{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut frames = BufReader::new(client.try_clone().unwrap()).split(0);
            while let Some(Ok(bytes)) = frames.next() {
                let frame = Frame::parse(&String::from_utf8(bytes).unwrap());
                let answer = match frame.command.as_str() {
                    "CONNECT" if frame.header("passcode") == Some("word") => {
                        "CONNECTED\r\nversion:1.2\r\n\r\n\0\n".to_owned()
                    }
                    "SEND" if frame.body == "stop" => return,
                    "SEND" => format!(
                        "MESSAGE\nsubscription:0\n\n{}\0\nRECEIPT\nreceipt-id:{}\n\n\0",
                        frame.body,
                        frame.header("receipt").unwrap()
                    ),
                    "SUBSCRIBE" => "\n".to_owned(),
                    _ => "ERROR\nmessage:not understood\n\n\0".to_owned(),
                };
                client.write_all(answer.as_bytes()).unwrap();
            }
        });
        url
    }

    #[tokio::test]
    async fn what_is_sent_is_confirmed_and_comes_out_until_the_broker_goes() {
        let (stomp, mut messages) = Stomp::connect(&broker(), "/queue/a").await.unwrap();
        for message in ["one", "two"] {
            stomp.send("/queue/a", message).await.unwrap();
            assert_eq!(messages.recv().await.as_deref(), Some(message));
        }
        assert!(stomp.send("/queue/a", "stop").await.is_err());
        assert_eq!(messages.recv().await, None);
        assert!(stomp.send("/queue/a", "three").await.is_err());
    }

    #[tokio::test]
    async fn a_broker_that_refuses_is_quoted() {
        let url = broker().replace("word", "wrong");
        let why = Stomp::connect(&url, "/queue/a").await.err().unwrap();
        assert!(why.to_string().contains("not understood"), "{why}");
    }
}
