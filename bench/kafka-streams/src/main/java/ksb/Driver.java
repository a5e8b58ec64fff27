package ksb;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.stream.LongStream;

/**
 * Feeds a workload to each system under test in turn, measures its process and verifies its committed output.
 *
 * <p>Each line of results is tab-separated: workload, then the columns of the workload's header. The last column is
 * {@code ok}, {@code FAIL} when the output is not the oracle's, or {@code failed: reason} when the system came to no end;
 * the figures of such a line are empty, and the others are measured all the same.
 */
public final class Driver {
    private static final Path DIR = Path.of(System.getenv().getOrDefault("KSB_DIR", "beacon-bench-engine"));
    private static final long BROKER = Long.parseLong(System.getenv().getOrDefault("BROKER_PID", "0"));
    private static final String SESSION = Long.toString(System.currentTimeMillis() / 1000, 36);

    private final Cluster cluster;
    private final String workload;
    private final List<String> suts = new ArrayList<>();
    private final Map<String, String> options = new HashMap<>();
    private int attempt;

    private Driver(Cluster cluster, String[] args) {
        this.cluster = cluster;
        workload = args[0];
        for (int i = 1; i + 1 < args.length; i += 2) {
            if (args[i].equals("--sut")) suts.add(args[i + 1]);
            else options.put(args[i], args[i + 1]);
        }
        if (suts.isEmpty()) suts.add("kstreams");
    }

    public static void main(String[] args) throws Exception {
        String bootstrap = System.getenv("KAFKA_BOOTSTRAP_SERVERS");
        try (var cluster = new Cluster(bootstrap)) {
            var d = new Driver(cluster, args);
            switch (d.workload) {
                case "w1" -> d.copy(d.option("--records", 3_000_000));
                case "w3" -> d.alerts(d.option("--records", 3_000_000));
                case "w4" -> d.latency(d.option("--rate", 5_000), d.option("--seconds", 60));
                case "w5" -> d.restore(d.option("--records", 5_000_000));
                default -> throw new IllegalArgumentException("no workload " + d.workload);
            }
        }
    }

    private long option(String name, long otherwise) {
        return Long.parseLong(options.getOrDefault(name, "" + otherwise));
    }

    // --- W1 and W3: preloaded input, as fast as it goes

    private interface Check {
        boolean matches(String outTopic);
    }

    private void copy(long n) throws Exception {
        long[] expected = {0};
        preloaded(n, sink -> Input.copy(n, (p, k, v, ts) -> {
            expected[0] += digest(k, v);
            sink.accept(p, k, v, ts);
        }), out -> {
            long[] seen = {0, 0, 0}, last = new long[Input.PARTITIONS];
            Arrays.fill(last, -1);
            Cluster.readCommitted(cluster.bootstrap, out, r -> {
                long seq = ByteBuffer.wrap(r.value()).getLong();
                seen[0]++;
                seen[1] += digest(r.key(), r.value());
                if (seq <= last[r.partition()]) seen[2]++;
                last[r.partition()] = seq;
            });
            return seen[0] == n && seen[1] == expected[0] && seen[2] == 0;
        });
    }

    private static long digest(byte[] key, byte[] value) {
        return Input.mix(31L * Arrays.hashCode(key) + Arrays.hashCode(value));
    }

    private void alerts(long n) throws Exception {
        var oracle = new Oracle(n);
        preloaded(n, sink -> Input.alerts(n, sink), out -> oracle.matches(cluster.bootstrap, out));
    }

    private record Sample(double at, double cpu, double brokerCpu, long in, long out) {}

    private void preloaded(long n, Consumer<Input.Sink> generator, Check check) throws Exception {
        String in = workload + "-in-" + SESSION;
        cluster.create(in);
        cluster.load(in, generator);
        if (cluster.stableEnd(in) != n) throw new IllegalStateException("input has " + cluster.stableEnd(in));
        report("sut\trun\trecords\twall_s\tstart_s\trate_per_s\tcpu_s_per_M\tsteady_rate_per_s\tsteady_cpu_s_per_M"
                + "\tbroker_cpu_s_per_M\tpeak_rss_MB\tverified");
        for (int run = 1; run <= option("--runs", 1); run++) {
            for (String sut : suts) {
                String id = id(), out = id + "-out";
                cluster.create(out);
                Proc p = start(sut, id, in, out, "100");
                List<Sample> samples;
                double rss;
                try {
                    samples = watch(p, id, in, out, n);
                    rss = p.peakRssMb();
                } catch (IllegalStateException e) {
                    failed(p, e, "%s\t%d\t%d\t\t\t\t\t\t\t\t\t%s", sut, run, n);
                    tidy(id);
                    continue;
                }
                p.stop();
                Sample end = samples.get(samples.size() - 1);
                Sample first = samples.stream().filter(s -> s.in > 0).findFirst().orElse(end);
                Sample third = samples.stream().filter(s -> s.in >= n / 3).findFirst().orElse(end);
                double m = n / 1e6, rest = (n - third.in) / 1e6;
                report("%s\t%d\t%d\t%.1f\t%.1f\t%.0f\t%.2f\t%.0f\t%.2f\t%.2f\t%.0f\t%s", sut, run, n, end.at, first.at,
                        n / end.at, end.cpu / m, rest * 1e6 / (end.at - third.at), (end.cpu - third.cpu) / rest,
                        (end.brokerCpu - samples.get(0).brokerCpu) / m, rss, check.matches(out) ? "ok" : "FAIL");
                tidy(id);
            }
        }
    }

    /** Stops the system and reports its line without figures. */
    private void failed(Proc p, Exception why, String format, Object... known) throws Exception {
        p.stop();
        var all = Arrays.copyOf(known, known.length + 1);
        all[known.length] = "failed: " + String.valueOf(why.getMessage()).replaceAll("\\s+", " ");
        report(format, all);
    }

    /** Samples every 100 ms until the group has committed all input and nothing has changed for two seconds. */
    private List<Sample> watch(Proc p, String group, String in, String out, long n) throws Exception {
        var samples = new ArrayList<Sample>();
        int end = 0;
        while (true) {
            var s = new Sample(p.seconds(), p.cpuSeconds(), BROKER > 0 ? Proc.cpuSeconds(BROKER) : 0,
                    cluster.committed(group, in), cluster.stableEnd(out));
            samples.add(s);
            Sample before = samples.get(end);
            if (s.in != before.in || s.out != before.out) end = samples.size() - 1;
            double still = s.at - samples.get(end).at;
            if (s.in == n && still > 2) return samples.subList(0, end + 1);
            if (still > 90 || !p.alive()) throw new IllegalStateException("stuck at " + s + ", see " + p.log);
            Thread.sleep(100);
        }
    }

    // --- W4: open loop

    private void latency(long rate, long seconds) throws Exception {
        report("sut\tcommit_ms\trun\trate_per_s\tseconds\tp50_ms\tp99_ms\tp99.9_ms\tmax_ms\tsut_cpu_%%\tcpu_s_per_M"
                + "\tbroker_cpu_s_per_M\tpeak_rss_MB\tverified");
        // Thrown away: who comes first meets a broker and a driver that are not compiled yet, and waits for their compilers.
        for (int i = 0; i < option("--thrown-away", 4); i++) latency(suts.get(i % suts.size()), 0, "10", rate, 10, 5);
        for (int run = 1; run <= option("--runs", 1); run++) {
            for (String commitMs : options.getOrDefault("--commit-ms", "100,50,25,10").split(",")) {
                for (String sut : suts) latency(sut, run, commitMs, rate, seconds, option("--warmup", 15));
            }
        }
    }

    private void latency(String sut, int run, String commitMs, long rate, long seconds, long warmup) throws Exception {
        String id = id(), in = id + "-in", out = id + "-out";
        cluster.create(in);
        cluster.create(out);
        int total = (int) (rate * (warmup + seconds)) + 1;
        long[] latencyNs = new long[total];
        var ready = new CountDownLatch(1);
        boolean[] ok = {true};
        var consumer = new Thread(() -> {
            var counts = new HashMap<Long, Long>();
            try (var c = Cluster.reader(cluster.bootstrap, out)) {
                for (int seen = 0; seen < total && !Thread.interrupted(); ) {
                    var batch = c.poll(Duration.ofMillis(500));
                    long now = System.nanoTime();
                    for (var r : batch) {
                        var v = ByteBuffer.wrap(r.value());
                        int seq = (int) v.getLong();
                        ok[0] &= latencyNs[seq] == 0;
                        latencyNs[seq] = now - v.getLong();
                        ok[0] &= v.getLong() == counts.merge(ByteBuffer.wrap(r.key()).getLong(), 1L, Long::sum);
                        seen++;
                        ready.countDown();
                    }
                }
            }
        });
        consumer.start();
        Proc p = start(sut, id, in, out, commitMs);
        String row = "%s\t%s\t%d\t%d\t%d\t\t\t\t\t\t\t\t\t%s";
        double cpu = 0, brokerCpu = 0;
        try (var producer = cluster.producer(5)) {
            var sink = Cluster.to(producer, in);
            Input.count(0, System.nanoTime(), sink);
            if (!ready.await(90, TimeUnit.SECONDS)) {
                consumer.interrupt();
                failed(p, new IllegalStateException("no output, see " + p.log), row, sut, commitMs, run, rate, seconds);
                tidy(id);
                return;
            }
            long start = System.nanoTime();
            for (int seq = 1; seq < total; seq++) {
                // In steps of a millisecond: waking up for each record takes a sixth of the core that the broker is on.
                long due = start + seq * 1_000L / rate * 1_000_000L;
                while (System.nanoTime() < due) LockSupport.parkNanos(due - System.nanoTime());
                if (seq == warmup * rate + 1 && p.alive()) {
                    cpu = p.cpuSeconds();
                    brokerCpu = BROKER > 0 ? Proc.cpuSeconds(BROKER) : 0;
                }
                Input.count(seq, due, sink);
            }
            if (!p.alive()) {
                consumer.interrupt();
                failed(p, new IllegalStateException("ended, see " + p.log), row, sut, commitMs, run, rate, seconds);
                tidy(id);
                return;
            }
            cpu = p.cpuSeconds() - cpu;
            brokerCpu = (BROKER > 0 ? Proc.cpuSeconds(BROKER) : 0) - brokerCpu;
        }
        consumer.join(30_000);
        ok[0] &= !consumer.isAlive();
        consumer.interrupt();
        double rss = p.peakRssMb();
        p.stop();
        long[] sorted = Arrays.copyOfRange(latencyNs, total - (int) (rate * seconds), total);
        Arrays.sort(sorted);
        double m = sorted.length / 1e6;
        if (run > 0) report("%s\t%s\t%d\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t%.2f\t%.0f\t%s", sut, commitMs, run, rate,
                seconds, percentile(sorted, 0.5), percentile(sorted, 0.99), percentile(sorted, 0.999),
                percentile(sorted, 1), 100 * cpu / seconds, cpu / m, brokerCpu / m, rss,
                ok[0] && Arrays.stream(latencyNs).allMatch(l -> l > 0) ? "ok" : "FAIL");
        tidy(id);
    }

    private static double percentile(long[] sortedNs, double q) {
        return sortedNs[Math.min(sortedNs.length - 1, (int) (q * sortedNs.length))] / 1e6;
    }

    // --- W5: state, then restarts

    private void restore(long n) throws Exception {
        report("sut\tphase\tkeys\trunning_s\tfirst_output_s\tall_partitions_s\tcpu_s\tbroker_cpu_s\tpeak_rss_MB"
                + "\tstate_dir_MB\ttail_records\tcheckpoint_MB\tverified");
        for (int run = 1; run <= option("--runs", 1); run++) for (String sut : suts) restore(sut, n);
    }

    private void restore(String sut, long n) throws Exception {
        var restore = new Restore(sut, n);
        try {
            restore.run();
        } catch (IllegalStateException e) {
            failed(restore.current, e, "%s\t%s\t%d\t\t\t\t\t\t\t\t\t\t%s", sut, restore.phase, n);
            tidy(restore.id);
        }
    }

    private final class Restore {
        /** How many keys are looked at once a phase was timed. */
        private static final int SPREAD = 10_000;

        private final String sut, id = id(), in = id + "-in", out = id + "-out";
        private final Path stateDir = DIR.resolve("state").resolve(id);
        private final long n;
        private final long[] probeIds = new long[Input.PARTITIONS];
        /** The sequence number each key was written with last. */
        private final long[] lastSeq;
        /** By the sequence number of a probe: that of the value it replaces. */
        private final Map<Long, Long> expected = new HashMap<>();
        private long seq;
        private Proc current;
        private String phase;

        Restore(String sut, long n) {
            this.sut = sut;
            this.n = n;
            lastSeq = new long[Math.toIntExact(n)];
            Arrays.fill(probeIds, -1);
            for (long k = 0; Arrays.stream(probeIds).anyMatch(x -> x < 0); k++) {
                int p = Input.partition(Input.key(k));
                if (probeIds[p] < 0) probeIds[p] = k;
            }
        }

        void run() throws Exception {
            cluster.create(in);
            cluster.create(out);
            cluster.load(in, sink -> upserts(n, sink));
            Proc p = phase("build");
            p.stop();
            p = phase("clean stop, disk kept");
            p.stop();
            delete(stateDir);
            p = phase("clean stop, disk empty");
            long before = cluster.committed(id, in);
            var load = new Thread(() -> cluster.load(in, sink -> upserts(Math.min(n, 1_000_000), sink)));
            load.start();
            while (cluster.committed(id, in) < before + Math.min(n, 1_000_000) / 4) Thread.sleep(10);
            p.kill();
            load.join();
            p = phase("kill -9, disk kept");
            p.stop();
            tidy(id);
        }

        private void upserts(long count, Input.Sink sink) {
            for (long k = 0; k < count; k++) upsert(k, false, sink);
        }

        private void upsert(long key, boolean probe, Input.Sink sink) {
            if (probe) expected.put(seq, lastSeq[(int) key]);
            lastSeq[(int) key] = seq;
            Input.upsert(key, seq++, probe, sink);
        }

        /**
         * Appends one probe per partition, starts the process and waits for their answers: that is what is timed. Then
         * keys from everywhere are probed, since a state may be there in part.
         */
        private Proc phase(String name) throws Exception {
            cluster.load(in, sink -> Arrays.stream(probeIds).forEach(k -> upsert(k, true, sink)));
            double broker = BROKER > 0 ? Proc.cpuSeconds(BROKER) : 0, first = -1;
            boolean ok = true;
            phase = name;
            Proc p;
            String measured;
            try (var c = Cluster.reader(cluster.bootstrap, out)) {
                // Before the start: the first answer may come within half a second.
                c.seekToEnd(c.assignment());
                c.assignment().forEach(c::position);
                current = p = start(sut, id, in, out, "100");
                for (int seen = 0; seen < Input.PARTITIONS; ) {
                    if (!p.alive() || p.seconds() > 600) throw new IllegalStateException("stuck, see " + p.log);
                    for (var r : c.poll(Duration.ofMillis(100))) {
                        if (seen++ == 0) first = p.seconds();
                        ok &= right(r.value());
                    }
                }
                measured = String.format(Locale.ROOT, "%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%.0f\t%s", p.runningAfter(), first,
                        p.seconds(), p.cpuSeconds(), (BROKER > 0 ? Proc.cpuSeconds(BROKER) : 0) - broker,
                        p.peakRssMb(), megabytes(stateDir), p.restored());
                long step = Math.max(n / SPREAD, 1);
                cluster.load(in, sink -> LongStream.range(0, SPREAD).map(i -> i * step % n).forEach(k -> upsert(k, true, sink)));
                for (int seen = 0; seen < SPREAD; ) {
                    if (!p.alive() || p.seconds() > 600) throw new IllegalStateException("stuck, see " + p.log);
                    for (var r : c.poll(Duration.ofMillis(100))) {
                        seen++;
                        ok &= right(r.value());
                    }
                }
            }
            report("%s\t%s\t%d\t%s\t%s", sut, name, n, measured, ok ? "ok" : "FAIL");
            return p;
        }

        /** Whether an answer names the value that its probe replaced; each probe is answered once. */
        private boolean right(byte[] answer) {
            var v = ByteBuffer.wrap(answer);
            return Objects.equals(expected.remove(v.getLong()), v.getLong());
        }
    }

    // --- common

    private String id() {
        return workload + "-" + SESSION + "-" + ++attempt;
    }

    private Proc start(String sut, String id, String in, String out, String commitMs) throws IOException {
        boolean kstreams = sut.matches("kstreams(:.*)?");
        String variant = sut.equals("kstreams") ? "default" : sut.substring(sut.indexOf(':') + 1);
        String heap = variant.equals("default") ? "" : "-Xms512m -Xmx512m -XX:+UseSerialGC ";
        String command = kstreams ? "java " + heap + "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn ksb.Sut" : sut;
        var env = new HashMap<>(Map.of("KAFKA_BOOTSTRAP_SERVERS", cluster.bootstrap, "IN_TOPIC", in, "OUT_TOPIC", out,
                "STATE_DIR", DIR.resolve("state").resolve(id).toString(), "CHECKPOINT_DIR",
                DIR.resolve("checkpoints").resolve(id).toString(), "WORKLOAD", workload, "GROUP_ID", id, "COMMIT_MS",
                commitMs));
        if (kstreams) env.putAll(Map.of("VARIANT", variant, "CLASSPATH", System.getProperty("java.class.path")));
        Files.createDirectories(DIR.resolve("state").resolve(id));
        Files.createDirectories(DIR.resolve("checkpoints").resolve(id));
        Files.createDirectories(DIR.resolve("logs"));
        return new Proc(command, env, DIR.resolve("logs").resolve(id + "-" + System.nanoTime() + ".log"));
    }

    /** Removes what a run leaves behind. */
    private void tidy(String id) throws Exception {
        cluster.dropAll(id);
        delete(DIR.resolve("state").resolve(id));
        delete(DIR.resolve("checkpoints").resolve(id));
    }

    private static void delete(Path dir) throws IOException {
        try (var files = Files.walk(dir)) {
            files.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
        }
    }

    private static double megabytes(Path dir) throws IOException {
        try (var files = Files.walk(dir)) {
            return files.mapToLong(f -> f.toFile().isFile() ? f.toFile().length() : 0).sum() / 1048576.0;
        }
    }

    private void report(String format, Object... args) throws IOException {
        String line = String.format(Locale.ROOT, format, args);
        System.out.println(line);
        Files.writeString(DIR.resolve("results.tsv"), workload + "\t" + line + "\n",
                StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }
}
