;; A policy that does what a document tells it to.
;;
;; A document whose first leaf begins with `!` is an order; the letter after it says which. In any
;; other document the first leaf goes, whole. An instance that is used twice traps, so a test that
;; passes also shows that instances are fresh.
(module
  (memory (export "memory") 4)
  (global $top (mut i32) (i32.const 4096))
  ;; Answer to return instead of the findings, if not 0.
  (global $override (mut i32) (i32.const 0))
  ;; Lists of findings to return beyond one for each document.
  (global $extra (mut i32) (i32.const 0))
  (global $used (mut i32) (i32.const 0))

  ;; policy-info at 16
  (data (i32.const 16) "\00\01\00\00\07\00\00\00\08\01\00\00\01\00\00\00\40\00\00\00\01\00\00\00\00\00\00\00\00\00\00\00")
  ;; its one rule at 64
  (data (i32.const 64) "\10\01\00\00\09\00\00\00\20\01\00\00\0b\00\00\00")
  (data (i32.const 256) "hostile")
  (data (i32.const 264) "1")
  (data (i32.const 272) "test-rule")
  (data (i32.const 288) "Of the test")
  ;; result<_, list<issue>> at 128: error with one issue at 160
  (data (i32.const 128) "\01\00\00\00\a0\00\00\00\01\00\00\00")
  (data (i32.const 160) "\30\01\00\00\02\00\00\00\40\01\00\00\08\00\00\00")
  (data (i32.const 304) "/x")
  (data (i32.const 320) "is wrong")
  ;; the same, without an error, at 192
  (data (i32.const 192) "\00")
  (data (i32.const 336) "\ff\fe\fd")
  (data (i32.const 352) "says\0ano")
  (data (i32.const 368) "absent")

  ;;START;;

  (func $alloc (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at
      (i32.and
        (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $top (i32.add (local.get $at) (local.get $size)))
    (block $fits
      (loop $grow
        (br_if $fits (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $grow (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))
        unreachable))
    (local.get $at))

  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    ;;REALLOC;;
    (call $alloc (local.get 2) (local.get 3)))

  (func (export "keboola:mirror/redaction@0.1.0#describe") (result i32)
    ;;DESCRIBE;;
    (i32.const 16))

  (func (export "keboola:mirror/redaction@0.1.0#configure") (param $at i32) (param $size i32) (result i32)
    ;;CONFIGURE;;
    (if (i32.eqz (local.get $size)) (then (return (i32.const 192))))
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 33 (;!;))) (then (return (i32.const 128))))
    i32.const 192)

  (func $recurse (param i32) (result i32)
    (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))

  ;; result<_, guest-error> at a fresh address
  (func $guest_error (param $has_item i32) (param $item i32)
    (local $at i32)
    (local.set $at (call $alloc (i32.const 4) (i32.const 20)))
    (i32.store (local.get $at) (i32.const 1))
    (i32.store offset=4 (local.get $at) (i32.const 352))
    (i32.store offset=8 (local.get $at) (i32.const 7))
    (i32.store offset=12 (local.get $at) (local.get $has_item))
    (i32.store offset=16 (local.get $at) (local.get $item))
    (global.set $override (local.get $at)))

  (func $literal (param $finding i32) (param $text i32) (param $size i32)
    (i32.store offset=4 (local.get $finding) (i32.const 1))
    (i32.store offset=8 (local.get $finding) (local.get $text))
    (i32.store offset=12 (local.get $finding) (local.get $size)))

  (func $range (param $finding i32) (param $start i32) (param $end i32)
    (i32.store offset=4 (local.get $finding) (i32.const 2))
    (i32.store offset=8 (local.get $finding) (local.get $start))
    (i32.store offset=12 (local.get $finding) (local.get $end)))

  ;; Obeys; `$list` is the document's list of one finding.
  (func $obey (param $letter i32) (param $list i32) (param $finding i32) (param $item i32)
    ;; t: traps
    (if (i32.eq (local.get $letter) (i32.const 0x74)) (then unreachable))
    ;; l: loops for ever
    (if (i32.eq (local.get $letter) (i32.const 0x6c)) (then (loop $for_ever (br $for_ever))))
    ;; m: allocates until it is refused, then traps
    (if (i32.eq (local.get $letter) (i32.const 0x6d))
      (then (loop $more (br_if $more (i32.ne (memory.grow (i32.const 64)) (i32.const -1)))) unreachable))
    ;; g: the same, and lives with it
    (if (i32.eq (local.get $letter) (i32.const 0x67))
      (then (loop $more (br_if $more (i32.ne (memory.grow (i32.const 64)) (i32.const -1))))))
    ;; r: recurses for ever
    (if (i32.eq (local.get $letter) (i32.const 0x72)) (then (drop (call $recurse (i32.const 0)))))
    ;; o: a leaf that is not there
    (if (i32.eq (local.get $letter) (i32.const 0x6f)) (then (i32.store (local.get $finding) (i32.const 7))))
    ;; u: a rule that is not there
    (if (i32.eq (local.get $letter) (i32.const 0x75)) (then (i32.store offset=16 (local.get $finding) (i32.const 9))))
    ;; c, b, v, w: ranges 0..3, 2..1, 1..1 and 0..1000
    (if (i32.eq (local.get $letter) (i32.const 0x63)) (then (call $range (local.get $finding) (i32.const 0) (i32.const 3))))
    (if (i32.eq (local.get $letter) (i32.const 0x62)) (then (call $range (local.get $finding) (i32.const 2) (i32.const 1))))
    (if (i32.eq (local.get $letter) (i32.const 0x76)) (then (call $range (local.get $finding) (i32.const 1) (i32.const 1))))
    (if (i32.eq (local.get $letter) (i32.const 0x77)) (then (call $range (local.get $finding) (i32.const 0) (i32.const 1000))))
    ;; x, p, n, z: literals of invalid UTF-8, outside the memory, that do not occur, and empty
    (if (i32.eq (local.get $letter) (i32.const 0x78)) (then (call $literal (local.get $finding) (i32.const 336) (i32.const 3))))
    (if (i32.eq (local.get $letter) (i32.const 0x70)) (then (call $literal (local.get $finding) (i32.const 0x7fffffff) (i32.const 4))))
    (if (i32.eq (local.get $letter) (i32.const 0x6e)) (then (call $literal (local.get $finding) (i32.const 368) (i32.const 6))))
    (if (i32.eq (local.get $letter) (i32.const 0x7a)) (then (call $literal (local.get $finding) (i32.const 368) (i32.const 0))))
    ;; h: a literal of 8 MiB
    (if (i32.eq (local.get $letter) (i32.const 0x68))
      (then (call $literal (local.get $finding) (call $alloc (i32.const 1) (i32.const 0x800000)) (i32.const 0x800000))))
    ;; e, E, f: errors that name this document, none, and one that is not there
    (if (i32.eq (local.get $letter) (i32.const 0x65)) (then (call $guest_error (i32.const 1) (local.get $item))))
    (if (i32.eq (local.get $letter) (i32.const 0x45)) (then (call $guest_error (i32.const 0) (i32.const 0))))
    (if (i32.eq (local.get $letter) (i32.const 0x66)) (then (call $guest_error (i32.const 1) (i32.const -1))))
    ;; L: one list of findings too many; K: no list at all
    (if (i32.eq (local.get $letter) (i32.const 0x4c)) (then (global.set $extra (i32.const 1))))
    (if (i32.eq (local.get $letter) (i32.const 0x4b)) (then (global.set $extra (i32.const -1))))
    ;; d: a target of a kind that is not there
    (if (i32.eq (local.get $letter) (i32.const 0x64)) (then (i32.store8 offset=4 (local.get $finding) (i32.const 9))))
    ;; a: an answer at an odd address
    (if (i32.eq (local.get $letter) (i32.const 0x61)) (then (global.set $override (i32.const 1))))
    ;; A: an answer outside the memory
    (if (i32.eq (local.get $letter) (i32.const 0x41)) (then (global.set $override (i32.const 0x7ffffff0))))
    ;; F: fills its memory again and again
    (if (i32.eq (local.get $letter) (i32.const 0x46))
      (then (loop $again
        (memory.fill (i32.const 65536) (i32.const 0) (i32.const 131072))
        (br $again))))
    ;; O: twice the same piece
    (if (i32.eq (local.get $letter) (i32.const 0x4f))
      (then
        (local.set $finding (call $alloc (i32.const 4) (i32.const 40)))
        (i32.store (local.get $list) (local.get $finding))
        (i32.store offset=4 (local.get $list) (i32.const 2))
        (call $range (local.get $finding) (i32.const 0) (i32.const 1))
        (call $range (i32.add (local.get $finding) (i32.const 20)) (i32.const 0) (i32.const 2))))
    ;; 0: divides by zero; 9: reads outside its memory
    (if (i32.eq (local.get $letter) (i32.const 0x30)) (then (drop (i32.div_u (i32.const 1) (i32.const 0)))))
    (if (i32.eq (local.get $letter) (i32.const 0x39)) (then (drop (i32.load (i32.const 0x7fffff00)))))
    ;; q: 20,000 findings; Q: so many that the host could not hold them
    (if (i32.eq (local.get $letter) (i32.const 0x71))
      (then
        (i32.store (local.get $list) (call $alloc (i32.const 4) (i32.const 400000)))
        (i32.store offset=4 (local.get $list) (i32.const 20000))))
    (if (i32.eq (local.get $letter) (i32.const 0x51))
      (then (i32.store offset=4 (local.get $list) (i32.const 0x10000000)))))

  (func (export "keboola:mirror/redaction@0.1.0#redact")
    (param i32 i32 i32 i32 i32 i32) (param $documents i32) (param $count i32) (result i32)
    (local $lists i32) (local $index i32) (local $document i32) (local $finding i32) (local $leaf i32)
    (local $list i32) (local $answer i32)
    (if (global.get $used) (then unreachable))
    (global.set $used (i32.const 1))
    (local.set $lists (call $alloc (i32.const 4) (i32.mul (i32.add (local.get $count) (i32.const 1)) (i32.const 8))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $index) (local.get $count)))
        (local.set $document (i32.add (local.get $documents) (i32.mul (local.get $index) (i32.const 36))))
        (local.set $list (i32.add (local.get $lists) (i32.mul (local.get $index) (i32.const 8))))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        ;;EACH;;
        (br_if $next (i32.eqz (i32.load offset=32 (local.get $document))))
        (local.set $finding (call $alloc (i32.const 4) (i32.const 20)))
        (i32.store (local.get $list) (local.get $finding))
        (i32.store offset=4 (local.get $list) (i32.const 1))
        ;;FOUND;;
        (local.set $leaf (i32.load offset=28 (local.get $document)))
        (br_if $next (i32.lt_u (i32.load offset=16 (local.get $leaf)) (i32.const 2)))
        (local.set $leaf (i32.load offset=12 (local.get $leaf)))
        (br_if $next (i32.ne (i32.load8_u (local.get $leaf)) (i32.const 33 (;!;))))
        (call $obey
          (i32.load8_u offset=1 (local.get $leaf))
          (local.get $list)
          (local.get $finding)
          (i32.sub (local.get $index) (i32.const 1)))
        (br $next)))
    (if (global.get $override) (then (return (global.get $override))))
    (local.set $answer (call $alloc (i32.const 4) (i32.const 20)))
    (i32.store offset=4 (local.get $answer) (local.get $lists))
    (i32.store offset=8 (local.get $answer) (i32.add (local.get $count) (global.get $extra)))
    (local.get $answer)))
