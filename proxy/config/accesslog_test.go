package config

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/accesslog"
	"github.com/weftmesh/weft/proxy/upstream"
)

func logger(m proto.Message) *accesslogv3.AccessLog {
	return &accesslogv3.AccessLog{Name: "envoy.access_loggers.x", ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: pack(m)}}
}

func textFormat(s string) *corev3.SubstitutionFormatString {
	return &corev3.SubstitutionFormatString{Format: &corev3.SubstitutionFormatString_TextFormatSource{
		TextFormatSource: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s}}}}
}

func fileLogger(path, text string) *accesslogv3.AccessLog {
	return logger(&filev3.FileAccessLog{Path: path, AccessLogFormat: &filev3.FileAccessLog_LogFormat{LogFormat: textFormat(text)}})
}

// spool writes logs into memory.
type spool struct {
	*accesslog.Sinks
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *spool) Open(path string) *accesslog.Sink {
	return s.OpenWith(path, func() (io.Writer, error) { return s, nil })
}

func (s *spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// line writes one entry and returns what came of it.
func (s *spool) line(t *testing.T, l *accesslog.Log) string {
	t.Helper()
	if l == nil {
		return ""
	}
	e := l.Entry()
	e.Status, e.Start = 204, time.Unix(0, 0)
	e.Write()
	var out string
	waittest.Until(t, "a line", func() bool {
		s.Flush()
		s.mu.Lock()
		defer s.mu.Unlock()
		out = s.b.String()
		return out != ""
	})
	s.b.Reset()
	return out
}

func newSpool() *spool { return &spool{Sinks: accesslog.NewSinks(slog.New(slog.DiscardHandler))} }

func TestAccessLoggers(t *testing.T) {
	fields, err := structpb.NewStruct(map[string]any{"code": "%RESPONSE_CODE%", "a": map[string]any{"n": 1.5, "b": true, "z": nil, "l": []any{"%PROTOCOL%", "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	json := &corev3.SubstitutionFormatString{Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: fields}}
	omit := proto.Clone(textFormat("[%PROTOCOL%]\n")).(*corev3.SubstitutionFormatString)
	omit.OmitEmptyValues = true
	for want, l := range map[string]*accesslogv3.AccessLog{
		"204 text\n": fileLogger("/a", "%RESPONSE_CODE% text\n"),
		`{"a":{"b":true,"l":[null,"x"],"n":1.5,"z":null},"code":204}` + "\n": logger(&filev3.FileAccessLog{Path: "/b", AccessLogFormat: &filev3.FileAccessLog_LogFormat{LogFormat: json}}),
		"204 old\n": logger(&filev3.FileAccessLog{Path: "/c", AccessLogFormat: &filev3.FileAccessLog_Format{Format: "%RESPONSE_CODE% old\n"}}),
		"204 out\n": logger(&streamv3.StdoutAccessLog{AccessLogFormat: &streamv3.StdoutAccessLog_LogFormat{LogFormat: textFormat("%RESPONSE_CODE% out\n")}}),
		"[]\n":      logger(&filev3.FileAccessLog{Path: "/d", AccessLogFormat: &filev3.FileAccessLog_LogFormat{LogFormat: omit}}),
		`[1970-01-01T00:00:00.000Z] "- - -" 204 - 0 0 - - "-" "-" "-" "-" "-"` + "\n": logger(&filev3.FileAccessLog{Path: "/e"}),
		"": logger(&tcpv3.TcpProxy{}), // of another kind
	} {
		m := manager(apiHost)
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: ads(), RouteConfigName: apiHost}}
		m.AccessLog = []*accesslogv3.AccessLog{l}
		got, err := decodeHTTPManager(wire(t, m))
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		s := newSpool()
		if line := s.line(t, got.logs.open(&Options{AccessLogs: s, Log: slog.New(slog.DiscardHandler)})); line != want {
			t.Errorf("%q, want %q", line, want)
		}
		s.Close()
	}
}

func TestBadAccessLoggers(t *testing.T) {
	filtered := fileLogger("/a", "x")
	filtered.Filter = &accesslogv3.AccessLogFilter{}
	source := textFormat("")
	source.GetTextFormatSource().Specifier = &corev3.DataSource_Filename{Filename: "/x"}
	for want, l := range map[string]*accesslogv3.AccessLog{
		"%NONE%":        fileLogger("/a", "%NONE%"),
		"path":          fileLogger("", "x"),
		"filter":        filtered,
		"inline_string": logger(&filev3.FileAccessLog{Path: "/a", AccessLogFormat: &filev3.FileAccessLog_LogFormat{LogFormat: source}}),
	} {
		f := &tcpv3.TcpProxy{StatPrefix: "x", ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: "a"}, AccessLog: []*accesslogv3.AccessLog{fileLogger("/ok", "x"), l}}
		if _, err := decodeTCPProxy(wire(t, f)); err == nil || !strings.Contains(err.Error(), "access_log[1]") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// What is switched on and off reaches destinations that are in use.
func TestAccessLogsFollow(t *testing.T) {
	s := newSpool()
	defer s.Close()
	with := func(l *listenerv3.Listener, logs ...*accesslogv3.AccessLog) *listenerv3.Listener {
		for _, c := range append(l.FilterChains, l.DefaultFilterChain) {
			for _, f := range c.GetFilters() {
				m, err := f.GetTypedConfig().UnmarshalNew()
				if err != nil {
					t.Fatal(err)
				}
				r := m.ProtoReflect()
				list := r.Mutable(r.Descriptor().Fields().ByName("access_log")).List()
				for _, a := range logs {
					list.Append(protoreflect.ValueOfMessage(a.ProtoReflect()))
				}
				f.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: pack(m)}
			}
		}
		return l
	}
	const tcp = "10.0.0.1_1"
	in := func() *listenerv3.Listener {
		return inboundListener(inboundChains(8080, "http", false), inboundChains(0, "detect", false))
	}
	r := newRig(t, func(o *Options) { o.AccessLogs = s },
		httpListener(apiHost, apiHost), routesTo(apiHost, map[string]uint32{clusterA: 1}), edsCluster(clusterA), assignmentOf(clusterA, "10.0.0.9"), tcpListener(tcp, "db", clusterA))
	d, err := r.destination(apiHost)
	if err != nil {
		t.Fatal(err)
	}
	db, err := r.destination(tcp)
	if err != nil {
		t.Fatal(err)
	}
	off := func() bool {
		return d.Routes().Log == nil && db.TCP().Log == nil && r.store.InboundLogs().HTTP() == nil && r.store.InboundLogs().TCP() == nil && r.store.UnknownLogs().TCP() == nil
	}
	if !off() {
		t.Error("logs though nobody asked")
	}
	log := fileLogger("/a", "%RESPONSE_CODE%\n")
	r.set(with(httpListener(apiHost, apiHost), log), with(tcpListener(tcp, "db", clusterA), log), with(in(), log), with(tcpListener(virtualOutbound, "out", upstream.PassthroughCluster), log))
	waittest.Until(t, "logs", func() bool {
		return d.Routes().Log != nil && db.TCP().Log != nil && r.store.InboundLogs().HTTP() != nil && r.store.InboundLogs().TCP() != nil && r.store.UnknownLogs().TCP() != nil
	})
	for _, l := range []*accesslog.Log{d.Routes().Log, db.TCP().Log, r.store.InboundLogs().HTTP(), r.store.UnknownLogs().TCP()} {
		if got := s.line(t, l); got != "204\n" {
			t.Errorf("%q", got)
		}
	}
	r.set(httpListener(apiHost, apiHost), tcpListener(tcp, "db", clusterA), in(), tcpListener(virtualOutbound, "out", upstream.PassthroughCluster))
	waittest.Until(t, "silence", off)
}
