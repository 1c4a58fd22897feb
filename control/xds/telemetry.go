package xds

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weftmesh/weft/mesh"
)

// fileLogger is the name of Envoy's access logger into files.
const fileLogger = "envoy.access_loggers.file"

// WithAccessLogs makes every connection manager and TCP proxy of a listener log
// with the loggers.
func WithAccessLogs(l *listenerv3.Listener, list []mesh.AccessLogger) *listenerv3.Listener {
	if len(list) == 0 {
		return l
	}
	var requests, connections []*accesslogv3.AccessLog
	for _, a := range list {
		requests = append(requests, accessLog(a))
		if !a.Requests {
			connections = append(connections, accessLog(a))
		}
	}
	if a := l.ApiListener.GetApiListener(); a != nil {
		withLogs(a, requests, connections)
	}
	for _, c := range append(l.FilterChains[:len(l.FilterChains):len(l.FilterChains)], l.DefaultFilterChain) {
		for _, f := range c.GetFilters() {
			withLogs(f.GetTypedConfig(), requests, connections)
		}
	}
	return l
}

// withLogs adds them to a filter's configuration.
func withLogs(a *anypb.Any, requests, connections []*accesslogv3.AccessLog) {
	m, err := a.UnmarshalNew()
	if err != nil {
		return // no message of ours
	}
	switch m := m.(type) {
	case *hcmv3.HttpConnectionManager:
		m.AccessLog = append(m.AccessLog, requests...)
	case *tcpv3.TcpProxy:
		m.AccessLog = append(m.AccessLog, connections...)
	default:
		return
	}
	proto.Reset(a)
	proto.Merge(a, pack(m))
}

func accessLog(a mesh.AccessLogger) *accesslogv3.AccessLog {
	f := &corev3.SubstitutionFormatString{}
	var fields structpb.Struct
	if a.JSON != "" && protojson.Unmarshal([]byte(a.JSON), &fields) == nil {
		f.Format = &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: &fields}
	} else {
		f.Format = &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
			Specifier: &corev3.DataSource_InlineString{InlineString: a.Text}}}
	}
	return &accesslogv3.AccessLog{Name: fileLogger, ConfigType: &accesslogv3.AccessLog_TypedConfig{
		TypedConfig: pack(&filev3.FileAccessLog{Path: a.Path, AccessLogFormat: &filev3.FileAccessLog_LogFormat{LogFormat: f}})}}
}
