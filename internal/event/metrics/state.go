package metrics

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State is how the gateway is, read at each scrape.
type State struct {
	Ready bool // the next message would be taken
	// Free and Kept are bytes of the disk; below Kept free ones new mail is refused. Unknown leaves both out.
	Free, Kept  uint64
	DiskUnknown bool
	// Certificates are our own.
	Certificates []Certificate
	// DNSValidated says that somebody's word is believed that an answer of DNS is signed.
	DNSValidated bool
	// ReloadGood says that the configuration read last was taken, ReloadAt when that was asked for.
	ReloadGood bool
	ReloadAt   time.Time
	// Node is how the gateway stands with the store that it may share.
	Node Node
	// Version, Revision and Go name the binary.
	Version, Revision, Go string
}

// Node is one gateway of a store.
type Node struct {
	Up bool // it may take and send mail
	// Shared says that others can be there. Without it there is no lease, and the rest is left out: LeaseAge is since
	// the lease was renewed last, Latency how long the store took for it.
	Shared            bool
	LeaseAge, Latency time.Duration
}

// Certificate is one of our own.
type Certificate struct {
	Kind, Name string // "server" or "client"; its first name
	End        time.Time
}

func ofState(name string) bool {
	return slices.Contains([]string{ready, diskFree, diskKept, certificateEnd, dnsValidated, reloadGood, reloadAt,
		buildInfo, nodeUp, leaseAge, storeLatency}, name)
}

// Watch has the metrics show how the gateway is, by asking at each scrape. It is called once at most.
func (m *Metrics) Watch(read func() State) {
	c := &stateCollector{read: read, descs: map[string]*prometheus.Desc{}}
	for _, d := range Definitions() {
		if ofState(d.Name) {
			c.descs[d.Name] = prometheus.NewDesc(d.Name, d.Help, d.Labels, nil)
		}
	}
	m.registry.MustRegister(c)
}

type stateCollector struct {
	read  func() State
	descs map[string]*prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(name string, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(c.descs[name], prometheus.GaugeValue, v, labels...)
	}
	flag := func(name string, yes bool) {
		v := 0.0
		if yes {
			v = 1
		}
		gauge(name, v)
	}
	s := c.read()
	flag(ready, s.Ready)
	if !s.DiskUnknown {
		gauge(diskFree, float64(s.Free))
		gauge(diskKept, float64(s.Kept))
	}
	ends := map[[2]string]time.Time{} // two of a name: the one that ends first
	for _, cert := range s.Certificates {
		key := [2]string{cert.Kind, cert.Name}
		if end, there := ends[key]; !there || cert.End.Before(end) {
			ends[key] = cert.End
		}
	}
	for key, end := range ends {
		gauge(certificateEnd, float64(end.Unix()), key[0], key[1])
	}
	flag(dnsValidated, s.DNSValidated)
	flag(nodeUp, s.Node.Up)
	if s.Node.Shared {
		gauge(leaseAge, s.Node.LeaseAge.Seconds())
		gauge(storeLatency, s.Node.Latency.Seconds())
	}
	flag(reloadGood, s.ReloadGood)
	gauge(reloadAt, float64(s.ReloadAt.UnixMilli())/1000)
	gauge(buildInfo, 1, s.Version, s.Revision, s.Go)
}
