// Reads the statistics of Go's runtime: what readers-malloc and readers-crossfoot do, with the same threads, sizes
// and clock, and the same fields in what it prints. See ../src.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/metrics"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// As in ../src/crew.rs and ../src/timing.rs.
const (
	held     = 256
	smallest = 16
	largest  = 1024
	lap      = 1000
	settle   = 20 * time.Millisecond
	turns    = 4
	batchNs  = 30000
	maxBatch = 100
	probes   = 7
	kept     = 400000
	fewest   = 20
	excess   = 2
	// The runner's alarm does not end a Go program.
	patience = 110 * time.Second
)

var names = []string{
	"/gc/heap/allocs:bytes",
	"/gc/heap/allocs:objects",
	"/gc/heap/frees:bytes",
	"/gc/heap/frees:objects",
	"/gc/heap/objects:objects",
	"/gc/heap/tiny/allocs:objects",
	"/memory/classes/heap/free:bytes",
	"/memory/classes/heap/objects:bytes",
	"/memory/classes/heap/released:bytes",
	"/memory/classes/heap/stacks:bytes",
	"/memory/classes/heap/unused:bytes",
	"/memory/classes/metadata/mcache/free:bytes",
	"/memory/classes/metadata/mcache/inuse:bytes",
	"/memory/classes/metadata/mspan/free:bytes",
	"/memory/classes/metadata/mspan/inuse:bytes",
	"/memory/classes/metadata/other:bytes",
	"/memory/classes/os-stacks:bytes",
	"/memory/classes/other:bytes",
	"/memory/classes/profiling/buckets:bytes",
	"/memory/classes/total:bytes",
}

type method struct {
	name string
	read func() bool
}

type cell struct {
	Method     string  `json:"method"`
	Working    bool    `json:"working"`
	MedianNs   float64 `json:"median_ns"`
	P99Ns      float64 `json:"p99_ns"`
	LongestNs  float64 `json:"longest_ns"`
	Batch      int     `json:"batch"`
	Batches    int     `json:"batches"`
	Singles    int     `json:"singles"`
	Incomplete uint64  `json:"incomplete"`
}

type session struct {
	Version    string            `json:"version"`
	Threads    int               `json:"threads"`
	ClockNs    float64           `json:"clock_ns"`
	Notes      []string          `json:"notes"`
	Replaced   uint64            `json:"replaced"`
	Processors float64           `json:"processors"`
	Cells      []cell            `json:"cells"`
	Missing    map[string]string `json:"missing"`
}

// Only the monotonic clock is read this way: one call of the vdso.
var base = time.Now()

func now() time.Duration { return time.Since(base) }

// The crew: threads that all sleep, or all work.
type crew struct {
	threads  int
	mutex    sync.Mutex
	changed  *sync.Cond
	order    int
	asleep   int
	atWork   int
	working  atomic.Bool
	laps     atomic.Uint64
	finished sync.WaitGroup
}

const (
	sleep = iota
	work
	end
)

type hand struct {
	objects [held][]byte
	random  uint64
}

func (h *hand) next() uint64 {
	h.random ^= h.random << 13
	h.random ^= h.random >> 7
	h.random ^= h.random << 17
	return h.random >> 32
}

func (h *hand) object() []byte {
	size := smallest + h.next()%(largest-smallest+1)
	object := make([]byte, size)
	object[0] = byte(size)
	return object
}

func (h *hand) replace(times int) {
	for i := 0; i < times; i++ {
		h.objects[h.next()%held] = h.object()
	}
}

func newCrew(threads int) *crew {
	c := &crew{threads: threads}
	c.changed = sync.NewCond(&c.mutex)
	c.finished.Add(threads)
	for i := 0; i < threads; i++ {
		go c.serve(uint64(i) + 1)
	}
	c.awaitSleep()
	return c
}

func (c *crew) serve(seed uint64) {
	// A thread of the system for each: what the other programs have.
	runtime.LockOSThread()
	defer c.finished.Done()
	h := &hand{random: seed*0x9E3779B97F4A7C15 | 1}
	for i := range h.objects {
		h.objects[i] = h.object()
	}
	for {
		c.mutex.Lock()
		c.asleep++
		c.changed.Broadcast()
		for c.order == sleep {
			c.changed.Wait()
		}
		c.asleep--
		over := c.order == end
		c.mutex.Unlock()
		if over {
			runtime.KeepAlive(h)
			return
		}
		c.work(h)
	}
}

func (c *crew) work(h *hand) {
	begun := false
	for c.working.Load() {
		h.replace(lap)
		c.laps.Add(1)
		if !begun {
			begun = true
			c.mutex.Lock()
			c.atWork++
			c.changed.Broadcast()
			c.mutex.Unlock()
		}
	}
}

func (c *crew) tell(order int) {
	c.mutex.Lock()
	c.order = order
	c.atWork = 0
	c.working.Store(order == work)
	c.changed.Broadcast()
	c.mutex.Unlock()
}

func (c *crew) await(holds func() bool) {
	c.mutex.Lock()
	for !holds() {
		c.changed.Wait()
	}
	c.mutex.Unlock()
}

func (c *crew) awaitSleep() {
	c.await(func() bool { return c.asleep == c.threads })
	time.Sleep(settle)
}

func (c *crew) start() {
	c.tell(work)
	c.await(func() bool { return c.atWork == c.threads })
}

func (c *crew) stop() uint64 {
	c.tell(sleep)
	c.awaitSleep()
	return c.laps.Swap(0) * lap
}

// The figures of one method so far.
type tally struct {
	batch      int
	batches    []float64
	singles    []float64
	incomplete uint64
	spent      time.Duration
}

func calibrated(m method, budget time.Duration) *tally {
	begun := now()
	shortest := math.Inf(1)
	for i := 0; i < probes; i++ {
		start := now()
		m.read()
		shortest = math.Min(shortest, float64(now()-start))
		if now()-begun > budget/turns {
			break
		}
	}
	batch := int(batchNs / math.Max(shortest, 1))
	if batch < 1 {
		batch = 1
	}
	if batch > maxBatch {
		batch = maxBatch
	}
	return &tally{
		batch:   batch,
		batches: make([]float64, 0, kept),
		singles: make([]float64, 0, kept),
		spent:   now() - begun,
	}
}

func (t *tally) ask(m method) {
	if !m.read() {
		t.incomplete++
	}
}

func (t *tally) due(until time.Duration, fewest int) bool {
	if len(t.batches) == 0 {
		return true
	}
	if len(t.batches) < fewest {
		return t.spent < until*excess
	}
	return t.spent < until && len(t.singles)+t.batch <= kept
}

func (t *tally) turn(m method, until time.Duration, fewest int) {
	for t.due(until, fewest) {
		begun := now()
		for i := 0; i < t.batch; i++ {
			t.ask(m)
		}
		took := float64(now()-begun) / float64(t.batch)
		t.batches = append(t.batches, took)
		if t.batch == 1 {
			t.singles = append(t.singles, took)
		} else {
			t.oneByOne(m)
		}
		t.spent += now() - begun
	}
}

func (t *tally) oneByOne(m method) {
	for i := 0; i < t.batch; i++ {
		start := now()
		complete := m.read()
		took := now() - start
		t.singles = append(t.singles, float64(took))
		if !complete {
			t.incomplete++
		}
	}
}

func quantile(values []float64, part float64) float64 {
	sort.Float64s(values)
	last := len(values) - 1
	if part == 0.5 {
		return (values[last/2] + values[(last+1)/2]) / 2
	}
	rank := int(math.Ceil(part * float64(len(values))))
	if rank < 1 {
		rank = 1
	}
	return values[rank-1]
}

func measure(methods []method, working bool, budget time.Duration) []cell {
	tallies := make([]*tally, len(methods))
	for i, m := range methods {
		tallies[i] = calibrated(m, budget)
	}
	for turn := 1; turn <= turns; turn++ {
		for i, m := range methods {
			tallies[i].turn(m, budget*time.Duration(turn)/turns, fewest*turn/turns)
		}
	}
	cells := make([]cell, len(methods))
	for i, t := range tallies {
		cells[i] = cell{
			Method:     methods[i].name,
			Working:    working,
			MedianNs:   quantile(t.batches, 0.5),
			P99Ns:      quantile(t.singles, 0.99),
			LongestNs:  quantile(t.singles, 1),
			Batch:      t.batch,
			Batches:    len(t.batches),
			Singles:    len(t.singles),
			Incomplete: t.incomplete,
		}
	}
	return cells
}

func clockCost() float64 {
	costs := make([]float64, 1001)
	for i := range costs {
		start := now()
		costs[i] = float64(now() - start)
	}
	return quantile(costs, 0.5)
}

// Processor time of the whole process so far.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func methods() []method {
	samples := make([]metrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	stats := new(runtime.MemStats)
	return []method{
		{"metrics.Read of 20", func() bool {
			metrics.Read(samples)
			for i := range samples {
				if samples[i].Value.Kind() != metrics.KindUint64 {
					return false
				}
			}
			return true
		}},
		{"ReadMemStats", func() bool {
			runtime.ReadMemStats(stats)
			return stats.HeapAlloc > 0
		}},
	}
}

func main() {
	threads := flag.Int("threads", 2, "threads that have a cache each, beside the one that reads")
	asleep := flag.Int("asleep", 100, "milliseconds for each way to read, while the threads sleep")
	working := flag.Int("working", 300, "milliseconds for each way to read, while the threads allocate")
	flag.Parse()
	time.AfterFunc(patience, func() {
		fmt.Fprintln(os.Stderr, "not done after", patience)
		os.Exit(1)
	})
	found := session{
		Version: runtime.Version(),
		Threads: *threads,
		ClockNs: clockCost(),
		Notes: []string{fmt.Sprintf("GOMAXPROCS %d as by default: so many caches, whatever the number of threads",
			runtime.GOMAXPROCS(0))},
		Missing: map[string]string{},
	}
	ways := methods()
	crew := newCrew(*threads)
	found.Cells = measure(ways, false, time.Duration(*asleep)*time.Millisecond)
	crew.start()
	start, used := now(), processorTime()
	found.Cells = append(found.Cells, measure(ways, true, time.Duration(*working)*time.Millisecond)...)
	found.Processors = float64(processorTime()-used) / float64(now()-start)
	found.Replaced = crew.stop()
	crew.tell(end)
	crew.finished.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
