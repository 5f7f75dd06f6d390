#!/usr/bin/env python3
"""Records how filesystems fill under real programs, at an accelerated pace.

Each program writes to an ext4 filesystem of its own (a sparse image, mounted by loop); its used bytes are read twice a
second for five minutes and written as one JSON file a program. Nothing here judges.

Usage: record_disk.py FOLDER [NAME…]    (root, python3, gcc, git, sqlite3 and PostgreSQL's server programs are needed)
"""
import json, os, pathlib, random, shutil, subprocess, sys, tempfile, threading, time, math, sqlite3, gzip

STEP, READINGS = 0.5, 600
OUT, ONLY = pathlib.Path(sys.argv[1]), set(sys.argv[2:])
HERE = pathlib.Path(tempfile.mkdtemp(prefix="record-disk-")); os.chmod(HERE, 0o755)
SUFFIX = os.environ.get("SUFFIX", "")  # a second recording with other chance has another name
BEGAN, END = [0.0], threading.Event()
now = lambda: time.monotonic() - BEGAN[0]
wait = lambda seconds: END.wait(seconds)
quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
WORDS = [w.strip() for w in open(__file__).read().split() if w.isalpha()]
line = lambda r: (f"{time.time():.6f} app[{r.randrange(9999)}]: " + " ".join(r.choices(WORDS, k=14)) + "\n").encode()

def log(path, rate, r, stop=lambda: False):
    """Writes lines, `rate(t)` bytes a second, until `stop`."""
    with open(path, "ab") as out:
        last = now()
        while not END.is_set() and not stop():
            wait(0.1); t = now(); due = rate(t) * (t - last); last = t
            while due > 0: text = line(r); out.write(text); due -= len(text)
            out.flush()

def steady_log(d, r): log(d / "app.log", lambda t: 400_000, r)
def rhythm_log(d, r): log(d / "access.log", lambda t: 350_000 * (1 - 0.9 * math.cos(2 * math.pi * t / 60)), r)
def noisy_log(d, r):
    level = [1.0, 0.0]
    def rate(t):
        if t > level[1]: level[0] = r.lognormvariate(0, 0.9); level[1] = t + r.uniform(1, 8)
        return 250_000 * level[0]
    log(d / "app.log", rate, r)
def growing_log(d, r): log(d / "app.log", lambda t: 60_000 + 2_500 * t, r)
def surge_log(d, r): log(d / "app.log", lambda t: 60_000 if t < 190 else 1_200_000, r)
def rotated(keep, size, rate, compressed):
    def run(d, r):
        n = 0
        while not END.is_set():
            n += 1; path = d / "app.log"
            log(path, rate, r, lambda: path.exists() and path.stat().st_size > size)
            path.rename(d / f"app.log.{n}")
            if compressed: subprocess.run(["gzip", str(d / f"app.log.{n}")], **quiet)
            old = sorted(d.glob("app.log.*"), key=lambda p: p.stat().st_mtime)
            for p in old[:-keep]: p.unlink()
    return run
def postgres(workload, extra=()):
    def run(d, r):
        data = d / "pg"; data.mkdir(); subprocess.run(["chown", "-R", "postgres", d], check=True)
        binaries = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        user = lambda *a, **k: subprocess.run(["runuser", "-u", "postgres", "--", *map(str, a)], **k, **quiet)
        user(binaries / "initdb", "-D", data, "-A", "trust", "--no-sync")
        options = ["listen_addresses=", f"unix_socket_directories={data}", "max_wal_size=96MB", "min_wal_size=48MB", "fsync=off",
            "checkpoint_timeout=30s", "autovacuum_naptime=5s", *extra]
        server = subprocess.Popen(["runuser", "-u", "postgres", "--", binaries / "postgres", "-D", data, *[w for o in options for w in ("-c", o)]], **quiet)
        while not END.is_set() and subprocess.run(["psql", "-h", data, "-U", "postgres", "-c", "select 1"], **quiet).returncode: wait(0.1)
        psql = subprocess.Popen(["psql", "-h", data, "-U", "postgres", "-q"], stdin=subprocess.PIPE, text=True, **quiet)
        psql.stdin.write("create table t(a bigserial primary key, k int, b text); create index on t(k);\n")
        n = 0
        while not END.is_set():
            psql.stdin.write(workload(n, r) + "\n"); psql.stdin.flush(); n += 1; wait(0.5)
        psql.kill(); user(binaries / "pg_ctl", "stop", "-m", "immediate", "-D", data); server.wait()
    return run
insert = lambda rows: f"insert into t(k, b) select (random()*1e6)::int, repeat(md5(random()::text), 8) from generate_series(1, {rows});"
pg_inserts = postgres(lambda n, r: insert(900))
pg_updates = postgres(lambda n, r: insert(400) if n < 20 or n % 4 == 0 else "update t set k = k + 1 where a % 37 = " + str(n % 37) + ";")
pg_wal = postgres(lambda n, r: insert(700), ("wal_keep_size=8GB",))
pg_loads = postgres(lambda n, r: insert(12000) if n % 60 == 30 else insert(150))
pg_retention = postgres(lambda n, r: insert(800) if n % 80 else f"delete from t where a < {n * 500}; vacuum t;")
def sqlite_inserts(d, r):
    db = sqlite3.connect(d / "data.db"); db.execute("pragma journal_mode=wal"); db.execute("create table t(a integer primary key, k int, b text)"); db.execute("create index i on t(k)")
    while not wait(0.25):
        db.executemany("insert into t(k, b) values(?, ?)", [(r.randrange(10**6), "x" * r.randrange(50, 500)) for _ in range(400)]); db.commit()
def git_commits(d, r):
    run = lambda *a: subprocess.run(["git", "-C", str(d / "repo"), "-c", "gc.auto=0", "-c", "user.name=a", "-c", "user.email=a@localhost", *a], **quiet)
    (d / "repo").mkdir(); run("init"); n = 0
    while not wait(0.8):
        n += 1
        for k in range(12): (d / "repo" / f"f{r.randrange(120)}").write_bytes(os.urandom(r.randrange(1000, 30000)) + b"".join(line(r) for _ in range(300)))
        run("add", "-A"); run("commit", "-m", f"change {n}")
        if n % 50 == 0: run("gc", "-q", "--prune=now")
def compiler(d, r):
    n = 0
    while not wait(0.7):
        n += 1; source = d / f"unit{n}.c"; count = r.randrange(50, 700)
        source.write_text("#include <stdio.h>\n" + "".join(f'int f{n}_{k}(int a) {{ printf("%d {" ".join(r.choices(WORDS, k=6))}\\n", a + {k}); return a * {k}; }}\n' for k in range(count)))
        subprocess.run(["nice", "gcc", "-g3", "-c", str(source), "-o", str(d / f"unit{n}.o")], **quiet)
        if n % 40 == 0: subprocess.run(f"ar rcs {d}/lib{n}.a {d}/*.o", shell=True, **quiet)
def package_trees(d, r):
    """Unpacks the software of this machine, package by package, as installs do; some are removed again."""
    packages = [p for p in pathlib.Path("/var/lib/dpkg/info").glob("*.list")]; r.shuffle(packages); n = 0
    while not END.is_set():
        n += 1; listed = packages[n % len(packages)]; place = d / f"{n}"
        files = [f for f in listed.read_text().splitlines() if os.path.isfile(f) and not os.path.islink(f)]
        if not files or sum(os.path.getsize(f) for f in files) > 25_000_000: continue
        place.mkdir()
        for f in files:
            target = place / f.lstrip("/"); target.parent.mkdir(parents=True, exist_ok=True)
            try: shutil.copyfile(f, target)
            except OSError: pass
        if n % 9 == 0: shutil.rmtree(d / f"{n - 5}", ignore_errors=True)
        wait(r.expovariate(1 / 0.5))
def backups(d, r):
    threading.Thread(target=log, args=(d / "app.log", lambda t: 180_000, r), daemon=True).start(); n = 0
    while not wait(25):
        n += 1; subprocess.run(f"tar -C /usr/include -c . | head -c {20_000_000 + n * 400_000} | gzip -1 > {d}/backup{n}.tgz", shell=True, **quiet)
        for p in sorted(d.glob("backup*"), key=lambda p: p.stat().st_mtime)[:-4]: p.unlink()
def dumps(d, r):
    threading.Thread(target=log, args=(d / "app.log", lambda t: 120_000, r), daemon=True).start()
    while not wait(r.expovariate(1 / 18)): (d / f"core.{time.time()}").write_bytes(os.urandom(r.randrange(2_000_000, 14_000_000)))
def uploads(d, r):
    n = 0
    while not END.is_set():
        n += 1; (d / f"upload{n}").write_bytes(os.urandom(min(20_000_000, int(r.paretovariate(1.1) * 40_000)))); wait(r.expovariate(4 + 3 * math.sin(now() / 12)))
def cache_and_log(d, r):
    """A cache that is held below a size, beside a log that is not."""
    threading.Thread(target=log, args=(d / "app.log", lambda t: 150_000, r), daemon=True).start(); (d / "cache").mkdir(); n = 0
    while not wait(0.1):
        n += 1; (d / "cache" / f"{n}").write_bytes(os.urandom(r.randrange(10_000, 200_000)))
        old = sorted((d / "cache").iterdir(), key=lambda p: p.stat().st_mtime)
        if sum(p.stat().st_size for p in old) > 40_000_000:
            for p in old[:len(old) // 2]: p.unlink()
def cleaned_log(d, r):
    """A log that somebody empties by hand twice, after which it goes on."""
    threading.Thread(target=log, args=(d / "app.log", lambda t: 500_000, r), daemon=True).start()
    for pause in (70, 90):
        if wait(pause): return
        os.truncate(d / "app.log", 0)
def journal(d, r):
    """systemd-journald's own files, written by the one of a throwaway host that shares the folder."""
    image = sorted(p for p in pathlib.Path("/var/cache/ansai-lab").glob("image-*") if p.is_dir())[-1]; (d / "journal").mkdir()
    host = subprocess.Popen(["systemd-nspawn", "-q", "-D", image, "--volatile=overlay", "--machine=record", "--boot", "--register=no", "--keep-unit",
        "--private-network", "--console=passive", f"--bind={d / 'journal'}:/var/log/journal"], stdin=subprocess.DEVNULL, **quiet)
    wait(6)
    leader = subprocess.run(["pgrep", "-P", str(host.pid)], capture_output=True, text=True).stdout.split()[0]
    enter = ["nsenter", "-t", leader, "-m", "-u", "-i", "-n", "-p", "--"]
    feed = subprocess.Popen([*enter, "systemd-cat", "-t", "app"], stdin=subprocess.PIPE, **quiet)
    while not wait(0.2): feed.stdin.write(b"".join(line(r) for _ in range(90))); feed.stdin.flush()
    feed.kill(); host.terminate(); host.wait()

PROGRAMS = {"log-steady": steady_log, "log-rhythm": rhythm_log, "log-noisy": noisy_log, "log-growing": growing_log, "log-surge": surge_log,
    "log-rotated": rotated(1000, 8_000_000, lambda t: 700_000, True), "log-rotated-slow": rotated(1000, 30_000_000, lambda t: 900_000, True),
    "log-rotated-rhythm": rotated(1000, 10_000_000, lambda t: 600_000 * (1 - 0.8 * math.cos(2 * math.pi * t / 75)), True),
    "log-rotated-kept": rotated(6, 9_000_000, lambda t: 500_000, False), "log-cleaned": cleaned_log,
    "pg-inserts": pg_inserts, "pg-updates": pg_updates, "pg-wal": pg_wal, "pg-loads": pg_loads, "pg-retention": pg_retention,
    "sqlite-inserts": sqlite_inserts, "git-commits": git_commits, "compiler": compiler, "packages": package_trees, "backups": backups,
    "dumps": dumps, "uploads": uploads, "cache-and-log": cache_and_log, "journald": journal}

def main():
    chosen = {n: p for n, p in PROGRAMS.items() if not ONLY or n in ONLY}; places = {}
    for name in chosen:
        image, place = HERE / f"{name}.img", HERE / name; place.mkdir()
        with open(image, "wb") as f: f.truncate(3_000_000_000)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True); (place / "lost+found").rmdir(); places[name] = place
    values = {name: [] for name in chosen}; BEGAN[0] = time.monotonic()
    threads = [threading.Thread(target=run, args=(places[name], random.Random(name + SUFFIX))) for name, run in chosen.items()]
    for t in threads: t.start()
    for reading in range(READINGS):
        time.sleep(max(0, BEGAN[0] + (reading + 1) * STEP - time.monotonic()))
        for name, place in places.items():
            s = os.statvfs(place); values[name].append((s.f_blocks - s.f_bfree) * s.f_frsize // 1024)
    END.set()
    for t in threads: t.join(30)
    OUT.mkdir(parents=True, exist_ok=True)
    for name, kib in values.items():
        record = {"name": name + SUFFIX, "step_seconds": STEP, "unit": "KiB", "values": [v - kib[0] for v in kib]}
        (OUT / f"{name}{SUFFIX}.json").write_text(json.dumps(record, separators=(",", ":")) + "\n")
    for place in places.values(): subprocess.run(["umount", "-l", str(place)])
    shutil.rmtree(HERE, ignore_errors=True); os._exit(0)

main()
