package control

import (
	"fmt"
	"strings"
	"testing"
)

func TestReadTracing(t *testing.T) {
	const otel = `{"name":"otel","opentelemetry":{"service":"obs/otel.obs.svc.cluster.local","port":4317}}`
	for text, want := range map[string]string{ // settings, notes and the error, or a part of it
		"":  "- [] 0 | | ",
		"x": "MeshConfig in JSON",
		`{"enableTracing":true,"extensionProviders":[` + otel + `]}`:                                                                                                                                                "[{otel otel.obs.svc.cluster.local 4317 opentelemetry}] [] 0 | enableTracing: defaultProviders.tracing names no collector, so that only a Telemetry with a provider makes spans | ",
		`{"extensionProviders":[` + otel + `],"defaultProviders":{"tracing":["otel"]}}`:                                                                                                                             "[{otel otel.obs.svc.cluster.local 4317 opentelemetry}] [otel] 0 | | ",
		`{"extensionProviders":[{"name":"z","zipkin":{"service":"a","port":1}}],"defaultProviders":{"tracing":["z"]}}`:                                                                                              "[{z  0 zipkin}] [] 0 | defaultProviders.tracing[0]: z is zipkin, which proxies do not speak; it is left out | ",
		`{"extensionProviders":[{"name":"h","opentelemetry":{"service":"a","port":1,"http":{"path":"/"}}}]}`:                                                                                                        "[{h  0 opentelemetry over HTTP}] [] 0 | extensionProviders[0]: h is opentelemetry over HTTP, which proxies do not speak; they send over gRPC | ",
		`{"defaultConfig":{"tracing":{"sampling":5,"zipkin":{"address":"a"},"customTags":{"a":{"literal":{"value":"b"}},"c":{"environment":{"name":"D"}},"e":{"header":{"name":"f","defaultValue":"g"}},"h":{}}}}}`: "[] [] 5 [{a b  } {c  D } {e g  f}]| defaultConfig.tracing.customTags[h]: neither literal, environment nor header; it is left out; defaultConfig.tracing.zipkin: not in effect; use an opentelemetry provider of extensionProviders | ",
		`{"defaultConfig":{"tracing":{"sampling":101}}}`:                                                                                                                                                            "from 0 to 100",
		`{"extensionProviders":[{"name":"a","opentelemetry":{"service":"a"}}]}`:                                                                                                                                     "service and port",
		`{"extensionProviders":[{"name":"a"}]}`:                                                                                                                                                                     "one kind of provider",
		`{"extensionProviders":[{"name":"a","zipkin":{},"datadog":{}}]}`:                                                                                                                                            "one kind of provider",
		`{"extensionProviders":[` + otel + `,` + otel + `]}`:                                                                                                                                                        "two providers",
		`{"defaultProviders":{"tracing":["nosuch"]}}`:                                                                                                                                                               `no provider "nosuch"`,
		`{"extensionProviders":[{"name":"a","opentelemetry":{"service":1,"port":"x"}}]}`:                                                                                                                            "extensionProviders[0]",
	} {
		s, notes, err := readTracing(text)
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		sampling := 0.0
		if s.Sampling != nil {
			sampling = *s.Sampling
		}
		got := fmt.Sprint(s.Providers, " ", s.Default, " ", sampling, " ")
		if text == "" {
			got = fmt.Sprint("- ", s.Default, " ", sampling, " ")
		}
		if len(s.Tags) > 0 {
			got += fmt.Sprint(s.Tags)
		}
		got += "| " + strings.Join(notes, "; ")
		if strings.TrimRight(got, " |") != strings.TrimRight(want, " |") {
			t.Errorf("%s:\n%q\nwant\n%q", text, got, want)
		}
	}
}
