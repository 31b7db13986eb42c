import bitronix.tm.BitronixTransactionManager;
import bitronix.tm.Configuration;
import bitronix.tm.TransactionManagerServices;
import bitronix.tm.resource.jdbc.PoolingDataSource;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.math.BigDecimal;
import java.net.URI;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;

/**
 * The same payment over two databases, made by Bitronix: a row in one, an entry in the other, by turns, two-phase commit.
 *
 * It is told what to do on standard input, a line each: {@code run THREADS SECONDS}. Each is answered by one line,
 * {@code done COMMITTED SECONDS P50_US P99_US} or {@code failed WHY}. It ends with its input, so that it never outlives whoever
 * started it.
 *
 * Arguments: a folder for its journal, on a real disk; the most threads; a word of at most 12 characters that begins every key; the two databases'
 * URIs.
 */
public final class BitronixPeer {
    private static final String PAYMENT =
        "INSERT INTO transactions (request_id, tx_type, pan_masked, amount, currency, merchant, ref_request_id, status, "
            + "txn_id, auth_code, pan_token, token_key_id, request_hash, hash_key_id, log_id, log_epoch) "
            + "VALUES (?, ?, ?, ?, ?, ?, ?, 'APPROVED', ?, ?, ?, ?, ?, ?, ?, ?)";
    private static final String ENTRY =
        "INSERT INTO merchant_entries (txn_id, merchant, amount, currency, kind) VALUES (?, ?, ?, ?, ?)";
    private static final BigDecimal AMOUNT = new BigDecimal("12.34");
    private static final byte[] DIGEST = new byte[32];
    /** As a transaction of Holdfast's is named. */
    private static final int TRANSACTION_CHARACTERS = 32;
    /** Of a journal's part; large, so that its rotation does not count. */
    private static final int JOURNAL_MEGABYTES = 64;
    private static final int LATENCIES_PER_THREAD = 1_000_000;

    private final PoolingDataSource[] databases;
    private final BitronixTransactionManager manager;
    private final String word;
    private final AtomicLong numbers = new AtomicLong();

    private BitronixPeer(PoolingDataSource[] databases, BitronixTransactionManager manager, String word) {
        this.databases = databases;
        this.manager = manager;
        this.word = word;
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 5) {
            System.err.println("usage: BitronixPeer JOURNAL_FOLDER THREADS_MAX WORD URI URI");
            System.exit(64);
        }
        int threadsMax = Integer.parseInt(arguments[1]);
        Configuration configuration = TransactionManagerServices.getConfiguration();
        configuration.setServerId("holdfast-benchmark");
        configuration.setLogPart1Filename(Path.of(arguments[0], "part1.btm").toString());
        configuration.setLogPart2Filename(Path.of(arguments[0], "part2.btm").toString());
        configuration.setMaxLogSizeInMb(JOURNAL_MEGABYTES);
        // Each decision is on the disk before it is carried out; those that come together share one force. These are its defaults.
        configuration.setForcedWriteEnabled(true);
        configuration.setForceBatchingEnabled(true);
        // In its favour: only what recovery needs is written, and the databases are told side by side.
        configuration.setFilterLogStatus(true);
        configuration.setAsynchronous2Pc(true);
        configuration.setDisableJmx(true);
        PoolingDataSource[] databases = {
            pool("first", arguments[3], threadsMax), pool("second", arguments[4], threadsMax),
        };
        BitronixTransactionManager manager = TransactionManagerServices.getTransactionManager();
        try {
            new BitronixPeer(databases, manager, arguments[2]).obey();
        } finally {
            manager.shutdown();
            for (PoolingDataSource database : databases) {
                database.close();
            }
        }
    }

    private static PoolingDataSource pool(String name, String uri, int connections) {
        URI parts = URI.create(uri);
        PoolingDataSource pool = new PoolingDataSource();
        pool.setUniqueName(name);
        pool.setClassName("org.postgresql.xa.PGXADataSource");
        pool.getDriverProperties().setProperty("serverName", parts.getHost());
        pool.getDriverProperties().setProperty("portNumber", Integer.toString(parts.getPort()));
        pool.getDriverProperties().setProperty("databaseName", parts.getPath().substring(1));
        pool.getDriverProperties().setProperty("user", parts.getUserInfo());
        // One more each, for recovery.
        pool.setMinPoolSize(connections + 1);
        pool.setMaxPoolSize(connections + 1);
        // In its favour: statements stay prepared, and a connection is not tested each time.
        pool.setPreparedStatementCacheSize(8);
        pool.setEnableJdbc4ConnectionTest(false);
        pool.init();
        return pool;
    }

    private void obey() throws Exception {
        System.out.println("ready");
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
        for (String order = orders.readLine(); order != null; order = orders.readLine()) {
            String[] words = order.split(" ");
            if (words.length != 3 || !words[0].equals("run")) {
                System.out.println("failed unknown order: " + order);
                continue;
            }
            System.out.println(run(Integer.parseInt(words[1]), Double.parseDouble(words[2])));
        }
    }

    private String run(int threads, double seconds) throws InterruptedException {
        long start = System.nanoTime();
        long end = start + (long) (seconds * 1e9);
        int[][] latencies = new int[threads][];
        AtomicReference<Exception> failure = new AtomicReference<>();
        CountDownLatch left = new CountDownLatch(threads);
        for (int thread = 0; thread < threads; thread++) {
            int place = thread;
            new Thread(() -> {
                try {
                    latencies[place] = payUntil(end, failure);
                } catch (Exception exception) {
                    failure.compareAndSet(null, exception);
                } finally {
                    left.countDown();
                }
            }).start();
        }
        left.await();
        double elapsed = (System.nanoTime() - start) / 1e9;
        if (failure.get() != null) {
            return "failed " + failure.get().toString().replace('\n', ' ');
        }
        int[] all = Arrays.stream(latencies).flatMapToInt(Arrays::stream).sorted().toArray();
        if (all.length == 0) {
            return "failed nothing was committed in " + seconds + " s";
        }
        return String.format(
            Locale.ROOT, "done %d %.6f %d %d", all.length, elapsed, percentile(all, 50), percentile(all, 99));
    }

    /** Nearest rank. */
    private static int percentile(int[] sorted, int share) {
        return sorted[Math.max(0, (int) ((long) sorted.length * share + 99) / 100 - 1)];
    }

    private int[] payUntil(long end, AtomicReference<Exception> failure) throws Exception {
        int[] latencies = new int[1024];
        int count = 0;
        for (long now = System.nanoTime(); now < end && failure.get() == null; count++) {
            pay(numbers.getAndIncrement());
            long after = System.nanoTime();
            if (count == latencies.length) {
                if (count >= LATENCIES_PER_THREAD) {
                    throw new IllegalStateException("too many payments for one run; make it shorter");
                }
                latencies = Arrays.copyOf(latencies, count * 2);
            }
            latencies[count] = (int) ((after - now) / 1000);
            now = after;
        }
        return Arrays.copyOf(latencies, count);
    }

    private void pay(long number) throws Exception {
        int first = (int) (number % 2);
        manager.begin();
        try {
            try (Connection payment = databases[first].getConnection();
                    Connection entry = databases[1 - first].getConnection()) {
                insertPayment(payment, number);
                insertEntry(entry, number);
            }
            manager.commit();
        } catch (Exception exception) {
            if (manager.getCurrentTransaction() != null) {
                manager.rollback();
            }
            throw exception;
        }
    }

    private void insertPayment(Connection connection, long number) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement(PAYMENT)) {
            statement.setString(1, request());
            statement.setString(2, "AUTH");
            statement.setString(3, "411111******1111");
            statement.setBigDecimal(4, AMOUNT);
            statement.setString(5, "USD");
            statement.setString(6, "MERCHANT001");
            statement.setString(7, null);
            statement.setString(8, name(number));
            statement.setString(9, "A00001");
            statement.setBytes(10, DIGEST);
            statement.setLong(11, 1);
            statement.setBytes(12, DIGEST);
            statement.setLong(13, 1);
            statement.setString(14, "00000000000000000000000000000000");
            statement.setBigDecimal(15, BigDecimal.ONE);
            expectOne(statement);
        }
    }

    private void insertEntry(Connection connection, long number) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement(ENTRY)) {
            statement.setString(1, name(number));
            statement.setString(2, "MERCHANT001");
            statement.setBigDecimal(3, AMOUNT);
            statement.setString(4, "USD");
            statement.setString(5, "AUTH");
            expectOne(statement);
        }
    }

    private String name(long number) {
        String digits = Long.toString(number);
        return word + "0".repeat(TRANSACTION_CHARACTERS - word.length() - digits.length()) + digits;
    }

    /** In no order, as clients' keys are. */
    private static String request() {
        ThreadLocalRandom random = ThreadLocalRandom.current();
        return String.format("pay-%016x%016x", random.nextLong(), random.nextLong());
    }

    private static void expectOne(PreparedStatement statement) throws Exception {
        int rows = statement.executeUpdate();
        if (rows != 1) {
            throw new IllegalStateException("an INSERT made " + rows + " rows");
        }
    }
}
