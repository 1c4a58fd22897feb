package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	sigsjson "sigs.k8s.io/json"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// Object is one object of a file.
type Object struct {
	Kind   world.Kind
	Obj    metav1.Object
	Origin mesh.Origin
	Place  *world.Place
}

// Ref returns its namespace and name.
func (o Object) Ref() mesh.Ref {
	return mesh.Ref{Namespace: o.Obj.GetNamespace(), Name: o.Obj.GetName()}
}

// Decode reads the documents of one file; name is used in origins. It returns
// the objects that could be read and everything that is wrong; good is false
// when any of that is an error, so that the file's last good state should stay.
func Decode(name string, doc []byte) (objects []Object, problems []mesh.Problem, good bool) {
	d := &decoder{file: name, good: true}
	if strings.HasSuffix(name, ".json") {
		// JSON allows tabs where YAML does not; inside strings it never does.
		doc = bytes.ReplaceAll(doc, []byte("\t"), []byte(" "))
	}
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	for {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			d.malformed(err, bytes.Count(bytes.TrimRight(doc, "\n"), []byte("\n"))+1)
			return nil, d.problems, false
		}
		if len(n.Content) > 0 {
			d.document(n.Content[0])
		}
	}
	return d.objects, d.problems, d.good
}

type decoder struct {
	file     string
	objects  []Object
	problems []mesh.Problem
	good     bool
}

func (d *decoder) add(c problem.Code, o mesh.Origin, field, message, remedy string) {
	p := problem.New(c, o, field, message, remedy)
	d.good = d.good && p.Severity != mesh.Error
	d.problems = append(d.problems, p)
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// parserError are the messages of yaml.v3's parser, as opposed to its scanner.
var parserError = regexp.MustCompile(`^did not find expected (<stream-start>|<document start>|node content|'-' indicator|key|',' or .*)$`)

// malformed reports a file that is not YAML; the parser tells the line in its
// message only.
func (d *decoder) malformed(err error, lines int) {
	o := mesh.Origin{File: d.file, Line: 1}
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		o.Line, _ = strconv.Atoi(m[1])
		msg = strings.TrimPrefix(msg, m[0]+": ")
		// yaml.v3 counts from 1 in the scanner's errors, from 0 in the parser's.
		if parserError.MatchString(msg) {
			o.Line++
		}
		// What breaks off is found missing behind the last line.
		o.Line = min(o.Line, lines)
	}
	d.add(problem.Malformed, o, "", msg+"; the last good state of the file stays in effect", "correct the file")
}

// head is what every object has.
type head struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name      string `yaml:"name"`
		Namespace string `yaml:"namespace"`
	} `yaml:"metadata"`
}

func (d *decoder) document(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return // an empty document, as between two separators
	}
	o := mesh.Origin{File: d.file, Line: n.Line}
	if n.Kind != yaml.MappingNode {
		d.add(problem.Malformed, o, "", "the document is not an object; the last good state of the file stays in effect", "begin it with apiVersion and kind")
		return
	}
	var h head
	// Wrong types are found again below, where they have a field.
	_ = n.Decode(&h)
	o.Kind, o.Name, o.Namespace = h.Kind, h.Metadata.Name, h.Metadata.Namespace
	if h.APIVersion == "" || h.Kind == "" {
		d.add(problem.Malformed, o, "", "the document has no apiVersion or kind; the last good state of the file stays in effect", "say what it is")
		return
	}
	if strings.HasSuffix(h.Kind, "List") && h.APIVersion != "" {
		if items := child(n, "items"); items != nil && items.Kind == yaml.SequenceNode {
			for _, e := range items.Content {
				if e.Kind == yaml.AliasNode {
					e = e.Alias
				}
				d.document(e)
			}
			return
		}
	}
	k, ok := kindOf(h.APIVersion, h.Kind)
	if !ok {
		d.add(problem.UnknownKind, o, "kind", fmt.Sprintf("the mesh has no use for %s %s; it is ignored", h.APIVersion, h.Kind), "")
		return
	}
	if k.make == nil {
		d.add(problem.BadObject, at(o, n, "apiVersion"), "apiVersion", fmt.Sprintf("%q is no version of %s that can be read; the last good state stays in effect", h.APIVersion, h.Kind), "use "+k.want)
		return
	}
	d.object(n, o, k)
}

func (d *decoder) object(n *yaml.Node, o mesh.Origin, k kind) {
	doc, err := toJSON(n)
	if err != nil {
		var ne *nodeError
		field := ""
		if errors.As(err, &ne) {
			o.Line, field, err = ne.line, ne.path, ne.err
		}
		d.add(problem.Malformed, o, field, err.Error()+"; the last good state of the file stays in effect", "correct the file")
		return
	}
	obj, strict, errs := k.make(doc)
	if len(errs) > 0 {
		for _, e := range errs {
			eo := o
			where := spotOfType(n, e.field, e.got)
			if where.line > 0 {
				eo.Line = where.line
			}
			d.add(e.code, eo, where.field, e.message+"; the last good state of the file stays in effect", "correct the field")
		}
		return
	}
	for _, e := range strict {
		field, what := strictField(e)
		d.add(problem.UnknownField, at(o, n, field), field, what+"; the field is ignored", "correct its name or its place, or remove it")
	}
	if k.kind != world.KindNamespace && obj.GetNamespace() == "" {
		obj.SetNamespace(corev1.NamespaceDefault)
	}
	if k.kind == world.KindNamespace {
		obj.SetNamespace("")
	}
	o.Kind, o.Namespace, o.Name = string(k.kind), obj.GetNamespace(), obj.GetName()
	for _, f := range []struct{ field, value string }{{"metadata.name", o.Name}, {"metadata.namespace", o.Namespace}} {
		if f.field == "metadata.namespace" && k.kind == world.KindNamespace {
			continue
		}
		if bad := content.IsDNS1123Subdomain(f.value); len(bad) > 0 {
			d.add(problem.BadObject, at(o, n, f.field), f.field, fmt.Sprintf("%q is not a name; the last good state of the file stays in effect", f.value), "use lower-case letters, digits, dashes and dots")
			return
		}
	}
	obj.SetManagedFields(nil)
	d.objects = append(d.objects, Object{k.kind, obj, o, placeOf(n)})
}

// at puts the line of a field into an origin.
func at(o mesh.Origin, n *yaml.Node, field string) mesh.Origin {
	if l := lineOf(n, field); l > 0 {
		o.Line = l
	}
	return o
}

func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// strictField takes the path out of a strict decoding error.
func strictField(err error) (field, what string) {
	var fe sigsjson.FieldError
	if errors.As(err, &fe) {
		field = fe.FieldPath()
	}
	return field, err.Error()
}
