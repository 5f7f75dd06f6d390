#!/usr/bin/env python3
"""Records the anonymous memory of real programs, leaking and not, at an accelerated pace.

Each program runs in a runtime of its own (C, Python, Node.js, Java, PostgreSQL, SQLite) and is asked a few hundred
times a second for work; the sum of RssAnon over its process group is read twice a second for five minutes and written
as one JSON file a program. One reading stands for `pace_seconds` in the tests. Nothing here judges.

Usage: record_memory.py FOLDER    (python3, gcc, node, java 17 and PostgreSQL's server programs are needed)
"""
import json, os, pathlib, signal, subprocess, sys, tempfile, time

STEP, READINGS = 0.5, 600
OUT = pathlib.Path(sys.argv[1])
ONLY = set(sys.argv[2:])
HERE = pathlib.Path(tempfile.mkdtemp(prefix="record-memory-"))

PY = r'''
import sys, time, random, math, functools, collections, gc, threading, sqlite3
kind, rate = sys.argv[1], float(sys.argv[2])
random.seed(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
began = time.monotonic(); store = []; table = {}; lru = collections.OrderedDict(); log = collections.deque(maxlen=30000)
class Node: pass
class Session:
    def __init__(self, i): self.i = i; self.data = bytes(random.randrange(200, 2000)); self.me = self
@functools.lru_cache(maxsize=20000)
def cached(i): return bytes(1000) + str(i).encode()
db = sqlite3.connect(":memory:"); db.execute("create table t(a integer primary key, b text)")
pools = []
def work(i, t):
    garbage = [bytes(random.randrange(100, 5000)) for _ in range(3)]
    if kind == "list": store.append(bytes(600))
    elif kind == "dict": table[f"session-{i}"] = {"user": i, "seen": t}
    elif kind == "some": 
        if random.random() < 0.2: store.append(bytes(random.randrange(500, 6000)))
    elif kind == "threads":
        if i % 40 == 0: th = threading.Thread(target=lambda: time.sleep(10000), daemon=True); th.start(); store.append(th); store.append(bytes(40000))
    elif kind == "sqlite": db.execute("insert into t(b) values(?)", ("x" * random.randrange(100, 900),))
    elif kind == "rhythm-leak":
        store.append(bytes(400))
        want = int(12000 * (1 - math.cos(2 * math.pi * t / 72)))
        while len(pools) < want: pools.append(bytes(1500))
        del pools[want:]
    elif kind == "late":
        cached(random.randrange(15000))
        if t > 110: store.append(bytes(900))
    elif kind == "lru-function": cached(int(random.paretovariate(0.4)) % 60000)
    elif kind == "lru":
        lru[i] = bytes(800)
        if len(lru) > 40000: lru.popitem(last=False)
    elif kind == "cycles": Session(i)
    elif kind == "ring": log.append(bytes(1200))
    elif kind == "rhythm":
        want = int(12000 * (1 - math.cos(2 * math.pi * t / 72)))
        while len(pools) < want: pools.append(bytes(1500))
        del pools[want:]
    elif kind == "ttl":
        table[i] = (t, bytes(700))
        for k in [k for k in list(table)[:20] if table[k][0] < t - 25]: del table[k]
    elif kind == "batch":
        if i % 4000 == 0: [bytes(1000) for _ in range(60000)]
    elif kind == "steps":
        want = 15000 * (1 + (t > 80) + (t > 190))
        while len(pools) < want: pools.append(bytes(1500))
    elif kind == "bursts":
        if i % 3500 < 300: pools.append(bytes(30000))
        elif i % 3500 == 2000: pools.clear()
i = 0
while True:
    t = time.monotonic() - began
    while i < rate * t: work(i, t); i += 1
    time.sleep(0.02)
'''
C = r'''
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <unistd.h>
#include <time.h>
static double now(void){struct timespec t;clock_gettime(CLOCK_MONOTONIC,&t);return t.tv_sec+t.tv_nsec/1e9;}
int main(int argc,char**argv){const char*kind=argv[1];double rate=atof(argv[2]),began=now();long i=0;
 enum{N=20000};static char*slot[N];srand(7);
 for(;;){double t=now()-began;
  for(;i<rate*t;i++){
   if(!strcmp(kind,"lost")){char*p=malloc(rand()%1500+100);memset(p,1,100);p=0;}
   else if(!strcmp(kind,"rare")){char*p=malloc(4000);memset(p,1,4000);if(i%12)free(p);}
   else if(!strcmp(kind,"fragments")){int k=rand()%N;free(slot[k]);size_t n=(rand()%64+1)*(64+i/400);if(n>40000)n=40000;slot[k]=malloc(n);memset(slot[k],1,n);}
   else if(!strcmp(kind,"slots")){int k=rand()%N;free(slot[k]);size_t n=rand()%8000+16;slot[k]=malloc(n);memset(slot[k],1,n);}
   else if(!strcmp(kind,"sort")){size_t n=4000000;if(i%200==0){int*p=malloc(n*4);for(size_t j=0;j<n;j+=512)p[j]=rand();usleep(2000000);free(p);}}
   else if(!strcmp(kind,"buffers")){char*p=malloc(300000);memset(p,1,300000);free(p);}
  }
  usleep(20000);} }
'''
JS = r'''
const [kind, rate] = [process.argv[2], +process.argv[3]];
const kept = [], map = new Map(), began = Date.now(); const E = new (require("events"))(); E.setMaxListeners(0);
let i = 0;
function work(i) {
  const garbage = []; for (let k = 0; k < 20; k++) garbage.push({ k, text: "x".repeat(50) + i });
  if (kind === "map") map.set("key" + i, { at: i, body: "y".repeat(200) + i });
  else if (kind === "listeners") { const big = new Array(60).fill(i); E.on("tick", () => big.length); }
  else if (kind === "closures") { const s = "z".repeat(100) + i; kept.push(() => s + i); }
  else if (kind === "buffers") { if (i % 10 === 0) kept.push(Buffer.alloc(3000, 1)); }
  else if (kind === "lru") { map.set(i, { at: i, body: "y".repeat(300) + i }); if (map.size > 30000) map.delete(map.keys().next().value); }
}
setInterval(() => { const t = (Date.now() - began) / 1000; while (i < rate * t) work(i++); }, 20);
'''
JAVA = r'''
import java.util.*;
public class Work { static List<Object> kept = new ArrayList<>();
 public static void main(String[] a) throws Exception { String kind=a[0]; double rate=Double.parseDouble(a[1]); long began=System.nanoTime(); long i=0; Random r=new Random(3);
  Map<Long,byte[]> lru=new LinkedHashMap<>(16,.75f,true){ protected boolean removeEldestEntry(Map.Entry<Long,byte[]> e){return size()>20000;} };
  while(true){ double t=(System.nanoTime()-began)/1e9; for(;i<rate*t;i++){ byte[][] g=new byte[8][]; for(int k=0;k<8;k++) g[k]=new byte[r.nextInt(4000)];
    switch(kind){ case "list": kept.add(new byte[900]); break; case "lru": lru.put((long)r.nextInt(40000),new byte[1500]); break; case "garbage": break;
     case "local": if(i%3==0) kept.add(("entry "+i).repeat(20)); break; } }
   Thread.sleep(20);} } }
'''
POSTGRES = {"pg-statements": ("prepare", 40), "pg-queries": ("query", 60), "pg-inserts": ("insert", 300)}

def programs():
    (HERE / "work.py").write_text(PY); (HERE / "work.js").write_text(JS)
    (HERE / "work.c").write_text(C); (HERE / "Work.java").write_text(JAVA)
    subprocess.run(["gcc", "-O1", "-fno-builtin-malloc", "-o", HERE / "work", HERE / "work.c"], check=True)
    subprocess.run(["javac", "-d", HERE, HERE / "Work.java"], check=True)
    python = lambda *a: [sys.executable, str(HERE / "work.py"), *map(str, a)]
    c = lambda *a: [str(HERE / "work"), *map(str, a)]
    node = lambda *a: ["node", "--max-old-space-size=400", str(HERE / "work.js"), *map(str, a)]
    java = lambda gc, heap, *a: ["java", f"-XX:+Use{gc}", f"-Xmx{heap}m", "-cp", str(HERE), "Work", *map(str, a)]
    leaks = {
        "python-list": python("list", 400), "python-list-slow": python("list", 60), "python-dict": python("dict", 300),
        "python-some": python("some", 200), "python-threads": python("threads", 100), "python-sqlite": python("sqlite", 400),
        "python-rhythm-leak": python("rhythm-leak", 300), "python-late": python("late", 300),
        "c-lost": c("lost", 800), "c-lost-slow": c("lost", 100), "c-rare": c("rare", 400), "c-fragments": c("fragments", 1500),
        "node-map": node("map", 1500), "node-listeners": node("listeners", 800), "node-closures": node("closures", 1500),
        "node-buffers": node("buffers", 900), "java-list": java("SerialGC", 300, "list", 500),
        "java-local": java("SerialGC", 300, "local", 900), "java-g1-list": java("G1GC", 300, "list", 500),
        "pg-statements": None,
    }
    sound = {
        "python-lru-function": python("lru-function", 1500), "python-lru": python("lru", 300), "python-lru-fast": python("lru", 1500),
        "python-cycles": python("cycles", 300), "python-ring": python("ring", 400), "python-rhythm": python("rhythm", 200),
        "python-ttl": python("ttl", 400), "python-batch": python("batch", 300), "python-steps": python("steps", 50),
        "python-bursts": python("bursts", 100), "c-slots": c("slots", 1500), "c-sort": c("sort", 30), "c-buffers": c("buffers", 50),
        "node-garbage": node("garbage", 1500), "node-lru": node("lru", 1500), "java-lru": java("SerialGC", 140, "lru", 800),
        "java-garbage": java("SerialGC", 200, "garbage", 500), "java-g1-lru": java("G1GC", 140, "lru", 800),
        "pg-queries": None, "pg-inserts": None,
    }
    return leaks, sound

def start_postgres():
    data, binaries = HERE / "pg", sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    os.chmod(HERE, 0o755); data.mkdir(); subprocess.run(["chown", "-R", "postgres", data], check=True)
    run = lambda *a: subprocess.run(["runuser", "-u", "postgres", "--", *map(str, a)], check=True, stdout=subprocess.DEVNULL)
    run(binaries / "initdb", "-D", data, "-A", "trust", "--no-sync")
    server = subprocess.Popen(["runuser", "-u", "postgres", "--", binaries / "postgres", "-D", data, "-c", "listen_addresses=",
        "-c", "fsync=off", "-c", f"unix_socket_directories={data}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        if subprocess.run(["psql", "-h", data, "-U", "postgres", "-c", "select 1"], capture_output=True).returncode == 0: break
        time.sleep(0.05)
    return data, server

class Session:
    """One psql session; its server process is what is measured."""
    def __init__(self, data, kind, rate):
        self.kind, self.rate, self.sent, self.began = kind, rate, 0, time.monotonic()
        self.psql = subprocess.Popen(["psql", "-h", str(data), "-U", "postgres", "-qAt"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.psql.stdin.write("select pg_backend_pid();\n"); self.psql.stdin.flush()
        self.pid = int(self.psql.stdout.readline()); os.set_blocking(self.psql.stdout.fileno(), False)
        self.psql.stdin.write(f"create temp table t_{kind} (a serial, b text);\n")
    def feed(self):
        lines = []
        while self.sent < self.rate * (time.monotonic() - self.began):
            n = self.sent; self.sent += 1
            if self.kind == "prepare": lines.append(f"prepare p{n} as select count(*) from pg_class c join pg_attribute a on a.attrelid=c.oid where c.relname=$1 and a.attnum>{n % 30};execute p{n}('pg_class');")
            elif self.kind == "query": lines.append(f"select count(*) from pg_class c join pg_attribute a on a.attrelid=c.oid where c.oid>{n % 5000};")
            else: lines.append("insert into t_insert(b) values(repeat('x', 300));")
        self.psql.stdin.write("\n".join(lines) + "\n"); self.psql.stdin.flush()
        try:
            while self.psql.stdout.read(65536): pass
        except (BlockingIOError, TypeError): pass

def anonymous(pid):
    try:
        for line in open(f"/proc/{pid}/status"):
            if line.startswith("RssAnon:"): return int(line.split()[1])
    except OSError: return None

def main():
    leaks, sound = programs()
    if ONLY: leaks = {n: c for n, c in leaks.items() if n in ONLY}; sound = {n: c for n, c in sound.items() if n in ONLY}
    data = server = None
    if any(c is None for c in [*leaks.values(), *sound.values()]): data, server = start_postgres()
    running, sessions = {}, []
    for name, command in [*leaks.items(), *sound.items()]:
        if command is None:
            session = Session(data, *POSTGRES[name]); sessions.append(session); running[name] = (session.pid, None)
        else:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); running[name] = (process.pid, process)
    values = {name: [] for name in running}
    start = time.monotonic()
    for reading in range(READINGS):
        for session in sessions: session.feed()
        time.sleep(max(0, start + (reading + 1) * STEP - time.monotonic()))
        for name, (pid, _) in running.items():
            value = anonymous(pid)
            if value is not None: values[name].append(value)
    for _, process in running.values():
        if process: process.kill(); process.wait()
    for session in sessions: session.psql.kill()
    if server: server.send_signal(signal.SIGTERM); server.wait()
    OUT.mkdir(parents=True, exist_ok=True)
    for name, kib in values.items():
        record = {"name": name, "leaks": name in leaks, "step_seconds": STEP, "unit": "KiB", "values": kib}
        (OUT / f"{name}.json").write_text(json.dumps(record, separators=(",", ":")) + "\n")

main()
