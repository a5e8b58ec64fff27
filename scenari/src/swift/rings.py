"""One-replica rings: rings.py DIRECTORY ACCOUNT-PORT CONTAINER-PORT OBJECT-PORT."""
import sys

from swift.common.ring import RingBuilder

directory, *ports = sys.argv[1:]
for name, port in zip(("account", "container", "object"), ports):
    # Sixteen partitions, one replica, no hour of waiting between moves.
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({
        "id": 0, "region": 1, "zone": 1, "weight": 1.0, "device": "d1", "meta": "",
        "ip": "127.0.0.1", "port": int(port), "replication_ip": "127.0.0.1", "replication_port": int(port),
    })
    builder.rebalance()
    builder.get_ring().save(f"{directory}/{name}.ring.gz")
