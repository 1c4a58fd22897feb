package profile

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"sort"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/weftmesh/weft/internal/linkerdapi"
)

// errOpenAPI means that a document is not one of OpenAPI.
var errOpenAPI = errors.New("not an OpenAPI document with paths")

// methods of a path item, in the order in which routes are written.
var methods = []string{http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPatch, http.MethodPost, http.MethodPut, http.MethodTrace}

// document is the part of OpenAPI 2 and 3 that matters.
type document struct {
	Swagger  string `json:"swagger"`
	OpenAPI  string `json:"openapi"`
	BasePath string `json:"basePath"` // 2
	Servers  []struct {
		URL string `json:"url"`
	} `json:"servers"` // 3
	Paths map[string]pathItem `json:"paths"`
}

type pathItem struct {
	Get     *operation `json:"get"`
	Put     *operation `json:"put"`
	Post    *operation `json:"post"`
	Delete  *operation `json:"delete"`
	Options *operation `json:"options"`
	Head    *operation `json:"head"`
	Patch   *operation `json:"patch"`
	Trace   *operation `json:"trace"`
}

func (p *pathItem) operation(method string) *operation {
	switch method {
	case http.MethodGet:
		return p.Get
	case http.MethodPut:
		return p.Put
	case http.MethodPost:
		return p.Post
	case http.MethodDelete:
		return p.Delete
	case http.MethodOptions:
		return p.Options
	case http.MethodHead:
		return p.Head
	case http.MethodPatch:
		return p.Patch
	}
	return p.Trace
}

type operation struct {
	Retryable bool   `json:"x-linkerd-retryable"`
	Timeout   string `json:"x-linkerd-timeout"`
	// Responses by status, default or range (5XX).
	Responses map[string]struct{} `json:"responses"`
}

// fromOpenAPI makes a route of each operation, sorted by path and method.
func fromOpenAPI(raw []byte) ([]linkerdapi.Route, error) {
	var d document
	if err := yaml.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", errOpenAPI, err)
	}
	if d.Swagger == "" && d.OpenAPI == "" || len(d.Paths) == 0 {
		return nil, errOpenAPI
	}
	base := d.BasePath
	if base == "" && len(d.Servers) > 0 {
		// An address that cannot be read says nothing of the path.
		if u, err := url.Parse(d.Servers[0].URL); err == nil {
			base = u.Path
		}
	}
	names := make([]string, 0, len(d.Paths))
	for name := range d.Paths {
		names = append(names, name)
	}
	sort.Strings(names)
	var out []linkerdapi.Route
	for _, name := range names {
		item := d.Paths[name]
		full := joined(base, name)
		for _, m := range methods {
			op := item.operation(m)
			if op == nil {
				continue
			}
			r := linkerdapi.Route{Name: m + " " + full, Timeout: op.Timeout, ResponseClasses: classes(op),
				Condition: &linkerdapi.RequestMatch{Method: m, PathRegex: pathRegex(full)}}
			if op.Retryable {
				r.IsRetryable = &op.Retryable
			}
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return nil, errOpenAPI
	}
	return out, nil
}

// joined keeps the slash at the end, which path.Join takes away.
func joined(base, name string) string {
	out := path.Join("/", base, name)
	if strings.HasSuffix(name, "/") && out != "/" {
		out += "/"
	}
	return out
}

// classes says of each status that is described whether it is a failure.
func classes(op *operation) []linkerdapi.ResponseClass {
	var out []linkerdapi.ResponseClass
	for status := range op.Responses {
		low, high := status, status
		if len(status) == 3 && strings.EqualFold(status[1:], "xx") {
			low, high = status[:1]+"00", status[:1]+"99"
		}
		lo, err1 := strconv.Atoi(low)
		hi, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || lo < 100 || hi > 599 {
			continue // default
		}
		out = append(out, linkerdapi.ResponseClass{IsFailure: lo >= 500,
			Condition: &linkerdapi.ResponseMatch{Status: &linkerdapi.Range{Min: int32(lo), Max: int32(hi)}}})
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i].Condition.Status, out[j].Condition.Status
		// A single status decides before the range that it is in.
		if (a.Min == a.Max) != (b.Min == b.Max) {
			return a.Min == a.Max
		}
		return a.Min < b.Min
	})
	return out
}
