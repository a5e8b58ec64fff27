//! What a topology says of itself, as text, Mermaid and Graphviz: to the letter, since people keep it in their repositories.

use std::time::Duration;

use beacon_core::operator::{ConnectedProcess, Count, Ctx, KeyedProcess, OpResult};
use beacon_core::topology::{Sessions, Topic, Topology, TopologyBuilder, Windows};

struct Both;

impl KeyedProcess for Both {
    type Key = String;
    type In = String;
    type Out = String;
    type Timer = ();

    fn on_record(&self, order: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        ctx.emit(order)
    }
}

impl ConnectedProcess for Both {
    type Right = String;

    fn on_right(&self, _: String, _: &mut Ctx<'_, Self>) -> OpResult {
        Ok(())
    }
}

fn shop() -> Topology {
    let text = |name: &str| Topic::<String>::new(name.to_owned());
    let app = TopologyBuilder::new("shop");
    let customers = app.table::<String, String>("customers", &text("customers"));
    let payments = app.source("payments", &text("payments")).keyed("payer", String::clone);
    let orders =
        app.source("orders", &text("orders")).with_event_time(Duration::from_secs(5)).key_by("buyer", String::clone);
    orders.join("who", &customers, |order, name| format!("{name}: {order}")).sink("named", &text("named"));
    orders.connect("both \"paid\"", &payments, |_| Both);
    let minutes = orders.window(
        "minutes",
        Windows::sliding(Duration::from_secs(60), Duration::from_secs(10)).allowed_lateness(Duration::from_secs(30)),
        Count::new(),
    );
    minutes.output::<(String, String)>("late").map("too late", |(_, order)| order);
    orders.session_window("visits", Sessions::with_gap(Duration::from_secs(300)).with_updates(), Count::new());
    orders.reduce("longest", |a, b| if a.len() < b.len() { b } else { a });
    app.build().expect("a valid topology")
}

#[test]
fn a_topology_as_text() {
    let expected = "\
application shop
  source `customers` [customers]
  table `customers.rows` from `customers`
  source `payments` [payments]
  map `payer` from `payments`
  source `orders` [orders]
  key_by `buyer` from `orders` [shop-buyer-repartition]
  map `buyer.read` from `buyer`
  join `who` from `buyer.read`, `customers.rows` (inner)
  map `named.keyed` from `who`
  sink `named` from `named.keyed` [named]
  connect `both \"paid\"` from `buyer.read`, `payer`
  window `minutes` from `buyer.read` (sliding 60s every 10s, event time, lateness 30s)
  output `minutes.late` from `minutes`
  map `too late` from `minutes.late`
  window `visits` from `buyer.read` (sessions with gap 300s, event time, updates)
  reduce `longest` from `buyer.read`
";
    assert_eq!(shop().describe(), expected);
}

#[test]
fn a_topology_as_mermaid() {
    let expected = r#"flowchart LR
  n0[("customers<br/><small>customers</small>")]
  n1["customers.rows"]
  n0 --> n1
  n2[("payments<br/><small>payments</small>")]
  n3["payer"]
  n2 --> n3
  n4[("orders<br/><small>orders</small>")]
  n5[("buyer<br/><small>shop-buyer-repartition</small>")]
  n4 --> n5
  n6["buyer.read"]
  n5 --> n6
  n7[["who<br/><small>join, inner</small>"]]
  n6 --> n7
  n1 --> n7
  n8["named.keyed"]
  n7 --> n8
  n9[("named<br/><small>named</small>")]
  n8 --> n9
  n10[["both 'paid'<br/><small>connect</small>"]]
  n6 --> n10
  n3 --> n10
  n11[["minutes<br/><small>window, sliding 60s every 10s, event time, lateness 30s</small>"]]
  n6 --> n11
  n12["minutes.late"]
  n11 -. "late" .-> n12
  n13["too late"]
  n12 --> n13
  n14[["visits<br/><small>window, sessions with gap 300s, event time, updates</small>"]]
  n6 --> n14
  n15[["longest<br/><small>reduce</small>"]]
  n6 --> n15
"#;
    assert_eq!(shop().mermaid(), expected);
}

#[test]
fn a_topology_as_graphviz() {
    let expected = r#"digraph "shop" {
  rankdir=LR;
  n0 [shape=cylinder, label="customers\ncustomers"];
  n1 [shape=box, label="customers.rows"];
  n0 -> n1;
  n2 [shape=cylinder, label="payments\npayments"];
  n3 [shape=box, label="payer"];
  n2 -> n3;
  n4 [shape=cylinder, label="orders\norders"];
  n5 [shape=cylinder, label="buyer\nshop-buyer-repartition"];
  n4 -> n5;
  n6 [shape=box, label="buyer.read"];
  n5 -> n6;
  n7 [shape=component, label="who\njoin, inner"];
  n6 -> n7;
  n1 -> n7;
  n8 [shape=box, label="named.keyed"];
  n7 -> n8;
  n9 [shape=cylinder, label="named\nnamed"];
  n8 -> n9;
  n10 [shape=component, label="both \"paid\"\nconnect"];
  n6 -> n10;
  n3 -> n10;
  n11 [shape=component, label="minutes\nwindow, sliding 60s every 10s, event time, lateness 30s"];
  n6 -> n11;
  n12 [shape=box, label="minutes.late"];
  n11 -> n12 [style=dashed, label="late"];
  n13 [shape=box, label="too late"];
  n12 -> n13;
  n14 [shape=component, label="visits\nwindow, sessions with gap 300s, event time, updates"];
  n6 -> n14;
  n15 [shape=component, label="longest\nreduce"];
  n6 -> n15;
}
"#;
    assert_eq!(shop().dot(), expected);
}
