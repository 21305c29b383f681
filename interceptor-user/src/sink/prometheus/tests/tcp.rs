//! What the kernel says of sockets.

use std::time::Duration;

use super::*;

const RTT: &str = "interceptor_tcp_smoothed_rtt_seconds";
const AGAIN: &str = "interceptor_tcp_retransmitted_segments_total";

fn ended(server_port: u16, client: Option<SocketFigures>, server: Option<SocketFigures>) -> Record {
    let mut record = ended_flow();
    let info = Arc::make_mut(&mut record.flow);
    info.server.endpoint = Endpoint::new(info.server.endpoint.ip(), server_port);
    info.client.figures = client;
    info.server.figures = server;
    Record::Flow(Box::new(record))
}

fn figures(micros: Option<u64>, retransmits: u32) -> SocketFigures {
    SocketFigures { srtt: micros.map(Duration::from_micros), retransmits }
}

#[test]
fn each_local_socket_is_one_observation() {
    let mut sink = sink(10);
    for record in [
        ended(80, None, Some(figures(Some(100), 2))),
        ended(80, Some(figures(Some(101), 0)), Some(figures(None, 3))),
        ended(80, None, None),
    ] {
        sink.record(&record).expect("recorded");
    }
    let samples = samples(&sink);
    let labels = |side: &str| format!("server_address=\"10.0.0.2\",server_port=\"80\",side=\"{side}\"");
    let (client, server) = (labels("client"), labels("server"));
    assert_eq!(samples[&format!("{RTT}_count{{{server}}}")], 1.0);
    assert_eq!(samples[&format!("{RTT}_bucket{{{server},le=\"0.0001\"}}")], 1.0);
    assert_eq!(samples[&format!("{RTT}_bucket{{{client},le=\"0.0001\"}}")], 0.0);
    assert_eq!(samples[&format!("{RTT}_sum{{{client}}}")], 0.000_101);
    assert_eq!(samples[&format!("{AGAIN}{{{server}}}")], 5.0);
    assert_eq!(samples[&format!("{AGAIN}{{{client}}}")], 0.0);
}

#[test]
fn servers_are_capped() {
    let mut sink = sink(10);
    for port in 1..=100 {
        sink.record(&ended(port, Some(figures(Some(1), 1)), None)).expect("recorded");
    }
    let samples = samples(&sink);
    let counts = matching(&samples, AGAIN, &[]);
    assert_eq!(counts.len(), 10);
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<f64>(), 100.0, "each is somewhere");
    assert_eq!(matching(&samples, AGAIN, &["server_port=\"other\"", "side=\"client\""])[0].1, 91.0);
    assert_eq!(samples["interceptor_metrics_folded_total"], 91.0);
}
