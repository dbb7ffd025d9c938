// Prints the fields of Kubernetes' own kinds, as ../fields.json holds them, from the types of its Go client.
//
// Only these types tell which fields vanish when they are zero: the API's description and Pulumi's SDK do not.
// To write the table anew: cd offline/kubernetes/table && go run . > ../fields.json
//
// A type is written as the parts it is made of: * pointer, [ list, { map by text, then one letter (see letters) or
// the number of a struct. A field that vanishes when it is empty ends in ?.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
)

var letters = map[reflect.Type]string{
	reflect.TypeFor[resource.Quantity]():  "q",
	reflect.TypeFor[intstr.IntOrString](): "x",
	reflect.TypeFor[metav1.Time]():        "t",
	reflect.TypeFor[metav1.MicroTime]():   "t",
	reflect.TypeFor[[]byte]():             "y",
}

type introduced interface{ APILifecycleIntroduced() (int, int) }
type removed interface{ APILifecycleRemoved() (int, int) }
type replacement interface {
	APILifecycleReplacement() schema.GroupVersionKind
}

type table struct {
	types   []map[string]string
	numbers map[string]int
	known   map[reflect.Type]int
}

// number returns a struct's place in the table; structs with the same fields share one.
func (t *table) number(typ reflect.Type) int {
	if found, ok := t.known[typ]; ok {
		return found
	}
	// A struct that holds itself needs its number before its fields are known.
	place := len(t.types)
	t.types = append(t.types, nil)
	t.known[typ] = place
	fields := map[string]string{}
	t.fields(typ, fields)
	written, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	if twin, ok := t.numbers[string(written)]; ok && place == len(t.types)-1 {
		t.types = t.types[:place]
		t.known[typ] = twin
		return twin
	}
	t.numbers[string(written)] = place
	t.types[place] = fields
	return place
}

func (t *table) fields(typ reflect.Type, fields map[string]string) {
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" || !field.IsExported() {
			continue
		}
		if name == "" && field.Anonymous {
			t.fields(field.Type, fields)
			continue
		}
		if name == "" {
			name = field.Name
		}
		written := t.written(field.Type)
		// What a program says of an object's status goes nowhere.
		if name == "status" && written[0] >= '0' && written[0] <= '9' {
			written = "a"
		}
		if vanishes(field.Type, options) {
			written += "?"
		}
		fields[name] = written
	}
}

func vanishes(typ reflect.Type, options string) bool {
	for _, option := range strings.Split(options, ",") {
		if option == "omitzero" || option == "omitempty" && typ.Kind() != reflect.Struct {
			return true
		}
	}
	return false
}

func (t *table) written(typ reflect.Type) string {
	if letter, ok := letters[typ]; ok {
		return letter
	}
	unmarshals := reflect.TypeFor[json.Unmarshaler]()
	if typ.Kind() != reflect.Pointer && reflect.PointerTo(typ).Implements(unmarshals) {
		return "a"
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return "*" + t.written(typ.Elem())
	case reflect.Slice:
		if typ.Elem().Kind() == reflect.Uint8 {
			return "y"
		}
		return "[" + t.written(typ.Elem())
	case reflect.Map:
		return "{" + t.written(typ.Elem())
	case reflect.Struct:
		return fmt.Sprint(t.number(typ))
	case reflect.String:
		return "s"
	case reflect.Bool:
		return "b"
	case reflect.Float32, reflect.Float64:
		return "f"
	case reflect.Interface:
		return "a"
	default:
		return "i"
	}
}

func version(major, minor int) string { return fmt.Sprintf("%d.%d", major, minor) }

func main() {
	t := &table{numbers: map[string]int{}, known: map[reflect.Type]int{}}
	var names []schema.GroupVersionKind
	for kind := range scheme.Scheme.AllKnownTypes() {
		names = append(names, kind)
	}
	sort.Slice(names, func(i, j int) bool { return names[i].String() < names[j].String() })
	kinds, lives := map[string]int{}, map[string][3]string{}
	for _, name := range names {
		made, err := scheme.Scheme.New(name)
		if err != nil {
			panic(err)
		}
		if _, ok := made.(metav1.Object); !ok || name.Version == "__internal" {
			continue
		}
		typ := reflect.TypeOf(made).Elem()
		written := name.GroupVersion().String() + "/" + name.Kind
		kinds[written] = t.number(typ)
		var life [3]string
		if found, ok := made.(introduced); ok {
			life[0] = version(found.APILifecycleIntroduced())
		}
		if found, ok := made.(removed); ok {
			life[1] = version(found.APILifecycleRemoved())
		}
		if found, ok := made.(replacement); ok {
			other := found.APILifecycleReplacement()
			life[2] = other.GroupVersion().String() + "/" + other.Kind
		}
		if life != [3]string{} {
			lives[written] = life
		}
	}
	print(kinds, lives, t.types)
}

// print writes the table with a type or a kind on each line, so that another version's differences can be read.
func print(kinds map[string]int, lives map[string][3]string, types []map[string]string) {
	lines := func(found any) string {
		written, err := json.Marshal(found)
		if err != nil {
			panic(err)
		}
		return string(written)
	}
	var rows []string
	for _, fields := range types {
		rows = append(rows, "  "+lines(fields))
	}
	fmt.Fprintf(os.Stdout, "{\n \"kinds\": %s,\n \"lives\": %s,\n \"types\": [\n%s\n ]\n}\n",
		broken(lines(kinds)), broken(lines(lives)), strings.Join(rows, ",\n"))
}

func broken(written string) string {
	written = strings.ReplaceAll(written, `],"`, "],\n  \"")
	if !strings.Contains(written, "[") {
		written = strings.ReplaceAll(written, `,"`, ",\n  \"")
	}
	return written
}
