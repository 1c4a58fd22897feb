package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weftmesh/weft/mesh"
)

// meshTracing is what Istio's MeshConfig says of traces.
type meshTracing struct {
	EnableTracing bool `json:"enableTracing"`
	DefaultConfig struct {
		Tracing map[string]json.RawMessage `json:"tracing"`
	} `json:"defaultConfig"`
	ExtensionProviders []map[string]json.RawMessage `json:"extensionProviders"`
	DefaultProviders   struct {
		Tracing []string `json:"tracing"`
	} `json:"defaultProviders"`
}

type customTag struct {
	Literal *struct {
		Value string `json:"value"`
	} `json:"literal"`
	Environment, Header *struct {
		Name         string `json:"name"`
		DefaultValue string `json:"defaultValue"`
	}
}

// readTracing reads the part of Istio's MeshConfig that is about traces, as
// JSON. notes are what of it is not in effect.
func readTracing(text string) (s mesh.TraceSettings, notes []string, err error) {
	if text == "" {
		return s, nil, nil
	}
	var m meshTracing
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return s, nil, fmt.Errorf("tracing: want the fields of MeshConfig in JSON: %w", err)
	}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("tracing: "+format, args...))
	}
	for i, p := range m.ExtensionProviders {
		at := fmt.Sprintf("extensionProviders[%d]", i)
		one, note, err := traceProvider(p)
		switch {
		case err != nil:
			fault("%s: %w", at, err)
			continue
		case s.Provider(one.Name) != nil:
			fault("%s: there are two providers %q", at, one.Name)
			continue
		case note != "":
			notes = append(notes, at+": "+note)
		}
		s.Providers = append(s.Providers, one)
	}
	for i, name := range m.DefaultProviders.Tracing {
		at := fmt.Sprintf("defaultProviders.tracing[%d]", i)
		switch p := s.Provider(name); {
		case p == nil:
			fault("%s: there is no provider %q in extensionProviders", at, name)
		case p.Host == "":
			notes = append(notes, at+": "+name+" is "+p.Kind+", which proxies do not speak; it is left out")
		case len(s.Default) > 0:
			notes = append(notes, at+": spans go to one provider; "+name+" is left out")
		default:
			s.Default = append(s.Default, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.DefaultConfig.Tracing)) {
		at, value := "defaultConfig.tracing."+name, m.DefaultConfig.Tracing[name]
		switch name {
		case "sampling":
			var v float64
			if err := json.Unmarshal(value, &v); err != nil || !(v >= 0 && v <= 100) {
				fault("%s: want a number from 0 to 100, not %s", at, value)
			}
			s.Sampling = &v
		case "customTags":
			var tags map[string]customTag
			if err := json.Unmarshal(value, &tags); err != nil {
				fault("%s: %w", at, err)
			}
			for _, tag := range slices.Sorted(maps.Keys(tags)) {
				if g := tags[tag].mesh(tag); g != (mesh.TraceTag{Name: tag}) {
					s.Tags = append(s.Tags, g)
				} else {
					notes = append(notes, at+"["+tag+"]: neither literal, environment nor header; it is left out")
				}
			}
		default:
			notes = append(notes, at+": not in effect; use an opentelemetry provider of extensionProviders")
		}
	}
	if m.EnableTracing && len(s.Default) == 0 {
		notes = append(notes, "enableTracing: defaultProviders.tracing names no collector, so that only a Telemetry with a provider makes spans")
	}
	return s, notes, errors.Join(faults...)
}

func (c customTag) mesh(name string) mesh.TraceTag {
	g := mesh.TraceTag{Name: name}
	switch {
	case c.Literal != nil:
		g.Value = c.Literal.Value
	case c.Environment != nil:
		g.Env, g.Value = c.Environment.Name, c.Environment.DefaultValue
	case c.Header != nil:
		g.Field, g.Value = c.Header.Name, c.Header.DefaultValue
	}
	return g
}

// errProvider means that a provider lacks something.
var errProvider = errors.New("want a name, and one kind of provider")

// traceProvider reads one of extensionProviders. note says why it cannot be
// used.
func traceProvider(p map[string]json.RawMessage) (out mesh.TraceProvider, note string, err error) {
	for key, value := range p {
		if key == "name" {
			err = json.Unmarshal(value, &out.Name)
			continue
		}
		if out.Kind != "" {
			return out, "", errProvider
		}
		out.Kind = key
	}
	switch {
	case err != nil:
		return out, "", err
	case out.Name == "" || out.Kind == "":
		return out, "", errProvider
	case out.Kind != "opentelemetry":
		return out, "", nil // said where somebody asks for its traces
	}
	var o struct {
		Service string          `json:"service"`
		Port    uint16          `json:"port"`
		HTTP    json.RawMessage `json:"http"`
	}
	if err := json.Unmarshal(p[out.Kind], &o); err != nil {
		return out, "", err
	}
	if len(o.HTTP) > 0 {
		out.Kind = "opentelemetry over HTTP"
		return out, out.Name + " is " + out.Kind + ", which proxies do not speak; they send over gRPC", nil
	}
	if o.Service == "" || o.Port == 0 {
		return out, "", fmt.Errorf("provider %q: opentelemetry wants service and port", out.Name)
	}
	// It may be written as namespace/host.
	out.Host, out.Port = o.Service[strings.LastIndexByte(o.Service, '/')+1:], o.Port
	return out, "", nil
}
