package config

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/weftmesh/weft/proxy/balance"
	"github.com/weftmesh/weft/proxy/upstream"
)

// cluster is envoy.config.cluster.v3.Cluster.
type cluster struct {
	spec upstream.Spec
	// eds is the name of its endpoints' resource; empty where they come
	// otherwise.
	eds string
	// static are the endpoints of a cluster that carries them itself, and
	// overprovisioning is what its assignment says.
	static           []upstream.EndpointSpec
	overprovisioning uint32
}

// Values of Cluster.DiscoveryType.
const (
	typeStatic      = 0
	typeStrictDNS   = 1
	typeLogicalDNS  = 2
	typeEDS         = 3
	typeOriginalDst = 4
)

// clusterParts is what is put together when all of a cluster has been read.
type clusterParts struct {
	*cluster
	kind, policy uint32
	assigned     *assignment
	meta         map[string]string
	outlier      *balance.Outlier
	lb           lbConfigs
	panic        float64 // percent; below 0 where it is not set
	socket       *socket // nil for none
	matches      bool    // transport_socket_matches are there
}

func decodeCluster(b []byte) (*cluster, error) {
	c := &clusterParts{cluster: &cluster{}, lb: defaultLB(), panic: -1}
	err := eachField(b, c.field)
	if err == nil {
		err = c.settle()
	}
	return c.cluster, err
}

func (c *clusterParts) field(f field) error {
	switch f.num {
	case 1:
		return f.str(&c.spec.Name)
	case 2:
		return f.uint32(&c.kind)
	case 3:
		return f.in("eds_cluster_config", c.decodeEDS)
	case 4:
		return f.duration("connect_timeout", &c.spec.ConnectTimeout)
	case 6:
		return f.uint32(&c.policy)
	case 8:
		return unsupported("health_checks")
	case 10:
		return f.in("circuit_breakers", c.decodeBreakers)
	case 19:
		return f.in("outlier_detection", func(b []byte) (err error) {
			c.outlier, err = decodeOutlier(b)
			return err
		})
	case 24:
		return f.in("transport_socket", c.decodeSocket)
	case 43:
		c.matches = true
	case 25:
		return f.in("metadata", func(b []byte) (err error) {
			c.meta, _, err = weftMetadata(b)
			return err
		})
	case 30:
		return f.in("upstream_connection_options", c.decodeConnectionOptions)
	case 33:
		return f.in("load_assignment", func(b []byte) (err error) {
			c.assigned, err = decodeAssignment(b)
			return err
		})
	case 9, 14, 29, 36:
		return c.decodeHTTP(f)
	case 23, 27, 34, 37, 52, 56:
		return c.decodeLB(f)
	case 22, 38, 40, 41:
		return unsupported("subsets, cluster types, filters and policies of extensions (field %d)", f.num)
	case 51:
		if f.u != 0 {
			return unsupported("connection_pool_per_downstream_connection")
		}
	}
	return nil
}

func (c *clusterParts) decodeEDS(b []byte) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("eds_config", decodeSource)
		case 2:
			return f.str(&c.eds)
		}
		return nil
	})
}

// settle checks what the fields come to together.
func (c *clusterParts) settle() error {
	m := c.meta
	c.spec.Service, c.spec.Namespace, c.spec.ServicePort = m["service"], m["namespace"], m["port"]
	if err := c.settleKind(); err != nil {
		return err
	}
	if err := c.settleSecurity(); err != nil {
		return err
	}
	if err := c.settleDetection(); err != nil {
		return err
	}
	return c.settleBalance()
}

func (c *clusterParts) settleKind() error {
	a := c.assigned
	if c.kind != typeEDS {
		c.eds = ""
	}
	switch c.kind {
	case typeEDS:
		c.spec.Kind = upstream.Pushed
		if c.eds == "" {
			c.eds = c.spec.Name
		}
	case typeStatic:
		c.spec.Kind = upstream.Pushed
		if a == nil {
			return invalid("a STATIC cluster without load_assignment")
		}
		if len(a.names) > 0 {
			return invalid("the host name %q in a STATIC cluster", a.names[0].Host)
		}
		c.static, c.overprovisioning = a.endpoints, a.overprovisioning
	case typeLogicalDNS:
		c.spec.Kind = upstream.DNS
		if a == nil || len(a.names)+len(a.endpoints) != 1 {
			return invalid("a LOGICAL_DNS cluster wants just one endpoint in load_assignment")
		}
		one := a.named()[0]
		c.spec.Host, c.spec.Port = one.Host, one.Address.Port()
	case typeStrictDNS:
		c.spec.Kind = upstream.DNS
		if a == nil || len(a.names)+len(a.endpoints) == 0 {
			return invalid("a STRICT_DNS cluster without endpoints in load_assignment")
		}
		c.spec.Names = &upstream.Names{List: a.named(), Overprovisioning: a.overprovisioning}
	case typeOriginalDst:
		c.spec.Kind = upstream.OriginalDestination
	default:
		return unsupported("type %d", c.kind)
	}
	return nil
}

// settleDetection chooses between outlier detection and failure accrual. The
// latter is ours; standard clients read the former beside it.
func (c *clusterParts) settleDetection() error {
	d := &c.spec.Detection
	switch kind := c.meta["accrual"]; kind {
	case "":
		if c.outlier != nil {
			d.Outliers, d.Outlier = true, *c.outlier
		}
		return nil
	case "consecutive":
	default:
		return invalid("metadata: weft.accrual: %q", kind)
	}
	// Linkerd's defaults of balancer.linkerd.io/failure-accrual-consecutive-*.
	d.Accrual = balance.Accrual{MaxFailures: 7, MinPenalty: time.Second, MaxPenalty: time.Minute, Jitter: 0.5}
	a := &d.Accrual
	if v, ok := c.meta["accrual_max_failures"]; ok {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil || n == 0 {
			return invalid("metadata: weft.accrual_max_failures: %q", v)
		}
		a.MaxFailures = uint32(n)
	}
	for key, to := range map[string]*time.Duration{"accrual_min_penalty": &a.MinPenalty, "accrual_max_penalty": &a.MaxPenalty} {
		if v, ok := c.meta[key]; ok {
			n, err := time.ParseDuration(v)
			if err != nil || n <= 0 {
				return invalid("metadata: weft.%s: %q", key, v)
			}
			*to = n
		}
	}
	if v, ok := c.meta["accrual_jitter"]; ok {
		n, err := strconv.ParseFloat(v, 64)
		if err != nil || n < 0 || n > 100 || math.IsNaN(n) {
			return invalid("metadata: weft.accrual_jitter: %q", v)
		}
		a.Jitter = n
	}
	if a.MaxPenalty < a.MinPenalty {
		return invalid("metadata: weft.accrual_max_penalty %s is below accrual_min_penalty %s", a.MaxPenalty, a.MinPenalty)
	}
	return nil
}

// locality reads region/zone/subzone.
func locality(s string) balance.Locality {
	p := append(strings.SplitN(s, "/", 3), "", "")
	return balance.Locality{Region: p[0], Zone: p[1], SubZone: p[2]}
}
