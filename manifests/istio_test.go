package manifests

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"sigs.k8s.io/yaml"

	"github.com/weftmesh/weft/internal/istioapi"
)

var update = flag.Bool("update", false, "rewrite crds/istio")

// TestIstioDefinitions holds crds/istio to the descriptors of istio.io/api.
func TestIstioDefinitions(t *testing.T) {
	for _, k := range istioapi.Kinds {
		file := filepath.Join("crds", "istio", k.Group()+"_"+k.Plural+".yaml")
		want := definition(t, k)
		if *update {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the API says; run go test ./manifests -run IstioDefinitions -update", file)
		}
	}
}

type part = map[string]any

func definition(t *testing.T, k istioapi.Kind) []byte {
	t.Helper()
	columns := []any{}
	for _, c := range k.Columns {
		typ := "string"
		columns = append(columns, part{"name": c[0], "type": typ, "jsonPath": c[1]})
	}
	columns = append(columns, part{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
	spec := k.Spec().ProtoReflect().Descriptor()
	var versions []any
	for _, v := range k.Versions() {
		versions = append(versions, part{
			"name": v, "served": true, "storage": v == k.Versions()[0],
			"additionalPrinterColumns": columns,
			"subresources":             part{"status": part{}},
			"schema": part{"openAPIV3Schema": part{"type": "object", "properties": part{
				"apiVersion": part{"type": "string"}, "kind": part{"type": "string"}, "metadata": part{"type": "object"},
				"spec":   messageSchema(spec),
				"status": part{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
			}}},
		})
	}
	names := part{"kind": k.Name, "listKind": k.Name + "List", "plural": k.Plural, "singular": singular(k.Name), "categories": []any{"istio-io", strings.ReplaceAll(k.Group(), ".", "-")}}
	if len(k.ShortNames) > 0 {
		names["shortNames"] = k.ShortNames
	}
	out, err := yaml.Marshal(part{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": part{"name": k.Plural + "." + k.Group()},
		"spec":     part{"group": k.Group(), "scope": "Namespaced", "names": names, "conversion": part{"strategy": "None"}, "versions": versions},
	})
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte("# Made from the descriptors of istio.io/api by `go test ./manifests -run IstioDefinitions -update`.\n"), out...)
}

func singular(kind string) string { return string(bytes.ToLower([]byte(kind))) }

func messageSchema(d protoreflect.MessageDescriptor) part {
	props := part{}
	var required []any
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		props[f.JSONName()] = fieldSchema(f)
		if istioapi.Required(f) {
			required = append(required, f.JSONName())
		}
	}
	s := part{"type": "object", "properties": props}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func fieldSchema(f protoreflect.FieldDescriptor) part {
	switch {
	case f.IsMap():
		return part{"type": "object", "additionalProperties": valueSchema(f.MapValue())}
	case f.IsList():
		return part{"type": "array", "items": valueSchema(f)}
	}
	return valueSchema(f)
}

func valueSchema(f protoreflect.FieldDescriptor) part {
	switch f.Kind() {
	case protoreflect.StringKind:
		return part{"type": "string"}
	case protoreflect.BytesKind:
		return part{"type": "string", "format": "byte"}
	case protoreflect.BoolKind:
		return part{"type": "boolean"}
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return part{"type": "number", "format": "double"}
	case protoreflect.EnumKind:
		return part{"type": "string", "enum": istioapi.EnumNames(f.Enum())}
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return part{"type": "integer", "minimum": 0}
	case protoreflect.MessageKind:
	default:
		return part{"type": "integer", "format": "int32"}
	}
	switch d := f.Message(); d.FullName() {
	case "google.protobuf.Duration":
		return part{"type": "string", "pattern": `^-?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))*$`}
	case "google.protobuf.BoolValue", "google.protobuf.UInt32Value", "google.protobuf.DoubleValue":
		s := valueSchema(d.Fields().ByName("value"))
		s["nullable"] = true
		return s
	case "google.protobuf.Struct":
		return part{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
	default:
		return messageSchema(d)
	}
}
