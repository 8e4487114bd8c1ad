package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Queue is what the queue's gauges show.
type Queue struct {
	States map[string]int64 // deliveries by state
	Bytes  int64            // of waiting bodies
	Oldest time.Time        // acceptance of the oldest waiting delivery, zero when none waits
}

func ofQueue(name string) bool { return strings.HasPrefix(name, "postern_queue_") }

// queueCollector reads the queue at each scrape, so that the gauges never go stale in memory.
type queueCollector struct {
	read  func() (Queue, error)
	descs map[string]*prometheus.Desc
}

func newQueueCollector(read func() (Queue, error)) *queueCollector {
	c := &queueCollector{read: read, descs: map[string]*prometheus.Desc{}}
	for _, d := range Definitions() {
		if ofQueue(d.Name) {
			c.descs[d.Name] = prometheus.NewDesc(d.Name, d.Help, d.Labels, nil)
		}
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *queueCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector. When the store cannot be read only queueReadable is there, as 0: a gauge
// that is missing is seen, a gauge that lies is not.
func (c *queueCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(name string, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(c.descs[name], prometheus.GaugeValue, v, labels...)
	}
	q, err := c.read()
	if err != nil {
		gauge(queueReadable, 0)
		return
	}
	gauge(queueReadable, 1)
	for state, n := range q.States {
		gauge(queueDeliveries, float64(n), state)
	}
	gauge(queueBytes, float64(q.Bytes))
	oldest := 0.0
	if !q.Oldest.IsZero() {
		oldest = float64(q.Oldest.UnixMilli()) / 1000
	}
	gauge(queueOldest, oldest)
}
