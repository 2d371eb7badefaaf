//! The script from end to end, with few updates.

use tokio::sync::mpsc;

use super::*;

/// Hands on what is written, so that a test can wait for it.
struct Lines(mpsc::UnboundedSender<String>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.0.send(text).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn options(replicas: u16, once: bool, json: bool) -> DemoOptions {
    DemoOptions { redis: None, replicas, journeys: 2, rounds: 2, once, json }
}

async fn once(options: DemoOptions) -> (Ending, String) {
    let mut out = Vec::new();
    let mut screen = Screen::new(&mut out, false);
    let ending = run(options, &mut screen, std::future::pending()).await.unwrap();
    (ending, String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn one_replica_loses_at_0_and_keeps_all_at_100() {
    let (ending, out) = once(options(1, true, false)).await;

    assert_eq!(ending, Ending::Done, "{out}");
    assert!(out.contains("100%  fixed         84            84       0       0"), "{out}");
    assert!(out.trim_end().lines().last().unwrap().starts_with("Proved: "), "{out}");
}

#[tokio::test]
async fn json_is_one_object_that_says_the_same() {
    let (ending, out) = once(options(1, true, true)).await;

    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(ending, Ending::Done, "{out}");
    assert_eq!(report["proved"], true);
    let percents: Vec<f64> = report["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["percent"].as_f64().unwrap())
        .collect();
    assert_eq!(percents, [0.0, 10.0, 50.0, 100.0, 0.0]);
    let full = &report["steps"][3]["rows"][0];
    assert_eq!((&full["path"], &full["updates"]), (&"fixed".into(), &84.into()));
    assert_eq!((&full["lost"], &full["failed"]), (&0.into(), &0.into()));
    assert!(report["steps"][0]["rows"][0]["lost"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn two_replicas_lose_at_100_and_the_end_says_why() {
    let (ending, out) = once(options(2, true, false)).await;

    assert_eq!(ending, Ending::NotProved, "{out}");
    assert!(out.contains("protection is local here"), "{out}");
}

#[tokio::test]
async fn a_stop_during_the_script_cuts_it_short() {
    let (sender, mut lines) = mpsc::unbounded_channel();
    let mut screen = Screen::new(Lines(sender), true);
    let stop = async move { while lines.recv().await.is_some_and(|l| !l.contains("step 2")) {} };

    // With its reader gone the last line can't be written, which is an error of the output and no panic.
    let ending = run(options(1, true, false), &mut screen, stop).await;

    assert!(matches!(ending, Ok(Ending::CutShort) | Err(DemoError::Output(_))), "{ending:?}");
}

#[tokio::test]
async fn without_once_it_goes_on_until_it_is_stopped() {
    let (sender, mut lines) = mpsc::unbounded_channel();
    let mut screen = Screen::new(Lines(sender), false);
    let stop = async {
        let mut seen = String::new();
        while !(seen.contains("interlock flag set") && seen.matches(HEADER).count() == 2) {
            seen.push_str(&lines.recv().await.unwrap());
        }
        // A round of the gentle load, at the script's last percentage.
        while !lines.recv().await.unwrap().contains("0%  legacy") {}
    };

    let ending = run(options(1, false, false), &mut screen, stop).await;

    assert_eq!(ending.unwrap(), Ending::Done);
}

#[test]
fn sidecars_that_differ_are_mixed() {
    assert_eq!(shown_percent(&[25.0, 25.0]), "25%");
    assert_eq!(shown_percent(&[0.5]), "0.5%");
    assert_eq!(shown_percent(&[0.0, 25.0]), "mixed");
    assert_eq!(shown_percent(&[]), "mixed");
}
