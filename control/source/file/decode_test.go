package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
)

func TestDecodeAnchorsMergesAndText(t *testing.T) {
	objects, problems, good := Decode("x.yaml", []byte(`
apiVersion: v1
kind: Service
metadata:
  name: api
  annotations: &a {on: "yes", date: 2026-01-02, big: "18446744073709551615"}
  labels:
    <<: *a
    on: own
spec:
  ports:
  - &p {port: 0x50, name: http}
  - {<<: *p, port: 81}
`))
	if !good || len(problems) != 0 || len(objects) != 1 {
		t.Fatal(objects, problems, good)
	}
	s := objects[0].Obj.(*corev1.Service)
	if s.Namespace != "default" || s.Labels["on"] != "own" || s.Labels["date"] != "2026-01-02" || s.Spec.Ports[0].Port != 80 || s.Spec.Ports[1].Port != 81 || s.Spec.Ports[1].Name != "http" {
		t.Errorf("got %+v", s)
	}
}

func TestDecodeRefuses(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		prev := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+prev+",", 9) + "*" + prev + "]\n"
	}
	for name, doc := range map[string]string{
		"an expansion without end": "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n" + bomb,
		"an alias of itself":       "apiVersion: v1\nkind: Service\nmetadata: &m {name: x, labels: *m}\n",
		"a list":                   "- 1\n- 2\n",
		"text":                     "hello",
		"no kind":                  "apiVersion: v1\nmetadata: {name: x}\n",
		"no name":                  "apiVersion: v1\nkind: Service\n",
		"a name with a pipe":       "apiVersion: v1\nkind: Service\nmetadata: {name: 'a|b'}\n",
		"a key that is a list":     "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n? [a]\n: b\n",
		"not a number":             "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: .nan}]}\n",
		"bytes":                    "\x00\xff\xfe",
	} {
		objects, problems, good := Decode("x.yaml", []byte(doc))
		if good || len(problems) == 0 || len(objects) != 0 {
			t.Errorf("%s: taken: %v %v %v", name, objects, problems, good)
		}
		for _, p := range problems {
			if p.Origin.File != "x.yaml" || p.Message == "" {
				t.Errorf("%s: problem without a place: %+v", name, p)
			}
		}
	}
}

// TestWrongTypesHaveTheirPlace: the field is named with its position in lists,
// which encoding/json leaves out.
func TestWrongTypesHaveTheirPlace(t *testing.T) {
	_, problems, _ := Decode("x.yaml", []byte("apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec:\n  ports:\n  - {port: 80}\n  - {port: eighty}\n"))
	if len(problems) != 1 || problems[0].Field != "spec.ports[1].port" || problems[0].Origin.Line != 7 {
		t.Errorf("%+v", problems)
	}
}

// FuzzDecode: whatever the bytes, Decode ends, never panics, and tells a
// reason when it does not take a file.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(split))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("{\"apiVersion\": \"v1\",\t\"kind\": \"List\", \"items\": [{}]}"))
	f.Add([]byte("apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: eighty}], <<: {a: b}}\n---\n---\nx"))
	cases, _ := filepath.Glob("../../translate/testdata/*.txtar")
	for _, name := range cases {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range txtar.Parse(b).Files {
			f.Add(part.Data)
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		objects, problems, good := Decode("x.yaml", doc)
		if !good && len(problems) == 0 {
			t.Error("refused without a reason")
		}
		for _, o := range objects {
			if o.Obj.GetName() == "" || o.Origin.Line < 1 || o.Origin.File != "x.yaml" {
				t.Errorf("object without a name or a place: %+v", o.Origin)
			}
		}
	})
}
