;; A layout renderer that does what its settings tell it to, by their first letter.
;;
;; Fresh memory is zero, and so are its harmless answers: an inspection, a rendering, a recovered
;; object of zeros is one without anything in it.
(module
  (memory (export "memory") 160)
  (global $top (mut i32) (i32.const 4096))

  (func $alloc (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at
      (i32.and
        (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $top (i32.add (local.get $at) (local.get $size)))
    (local.get $at))

  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (call $alloc (local.get 2) (local.get 3)))

  (func $is (param $settings i32) (param $letter i32) (result i32)
    (i32.eq (i32.load8_u (local.get $settings)) (local.get $letter)))

  ;; `$count` elements of `$size` bytes, as the list at offset 4 of an answer that is no error
  (func $list_of (param $settings i32) (param $count i32) (param $size i32) (result i32)
    (local $answer i32)
    ;; t: traps
    (if (call $is (local.get $settings) (i32.const 0x74)) (then unreachable))
    (local.set $answer (call $alloc (i32.const 8) (i32.const 32)))
    ;; e: an error that names the first item
    (if (call $is (local.get $settings) (i32.const 0x65))
      (then
        (i32.store (local.get $answer) (i32.const 1))
        (i32.store offset=12 (local.get $answer) (i32.const 1))
        (return (local.get $answer))))
    (i32.store offset=4 (local.get $answer)
      (call $alloc (i32.const 8) (i32.mul (i32.add (local.get $count) (i32.const 1)) (local.get $size))))
    (i32.store offset=8 (local.get $answer)
      ;; L: one too many
      (i32.add (local.get $count) (call $is (local.get $settings) (i32.const 0x4c))))
    (local.get $answer))

  ;; a list of 20,000 zeros of 40 bytes at `$at`
  (func $absurd (param $at i32)
    (i32.store (local.get $at) (call $alloc (i32.const 4) (i32.const 800000)))
    (i32.store offset=4 (local.get $at) (i32.const 20000)))

  (func (export "keboola:mirror/layout@0.1.0#inspect")
    (param i32 i32 i32 i32 i32 i32) (param $settings i32) (param i32) (param $objects i32) (param $count i32) (result i32)
    (local $answer i32) (local $first i32)
    (local.set $answer (call $list_of (local.get $settings) (local.get $count) (i32.const 80)))
    (local.set $first (i32.load offset=4 (local.get $answer)))
    ;; k: the first belongs below a bucket without an id
    (if (call $is (local.get $settings) (i32.const 0x6b))
      (then
        (i32.store8 (local.get $first) (i32.const 1))
        (i32.store8 offset=4 (local.get $first) (i32.const 3))))
    ;; c: the first has 20,000 claims
    (if (call $is (local.get $settings) (i32.const 0x63))
      (then (call $absurd (i32.add (local.get $first) (i32.const 48)))))
    ;; h: the first has facts of 8 MiB
    (if (call $is (local.get $settings) (i32.const 0x68))
      (then
        (i32.store offset=72 (local.get $first) (i32.const 0x100000))
        (i32.store offset=76 (local.get $first) (i32.const 0x800000))))
    (local.get $answer))

  (func (export "keboola:mirror/layout@0.1.0#render")
    (param i32 i32 i32 i32 i32 i32) (param $settings i32) (param i32) (param $objects i32) (param $count i32) (result i32)
    (local $answer i32)
    (local.set $answer (call $list_of (local.get $settings) (local.get $count) (i32.const 16)))
    ;; c: the first has 20,000 files
    (if (call $is (local.get $settings) (i32.const 0x63))
      (then (call $absurd (i32.load offset=4 (local.get $answer)))))
    (local.get $answer))

  (func (export "keboola:mirror/layout@0.1.0#gather")
    (param i32 i32 i32 i32 i32 i32) (param $settings i32) (param i32 i32 i32 i32 i32 i32) (result i32)
    (call $list_of (local.get $settings) (i32.const 0) (i32.const 20)))

  (func (export "keboola:mirror/layout@0.1.0#recoverable")
    (param $settings i32) (param i32) (param $paths i32) (param $count i32) (result i32)
    (i32.add (call $list_of (local.get $settings) (local.get $count) (i32.const 1)) (i32.const 4)))

  (func (export "keboola:mirror/layout@0.1.0#recover")
    (param i32 i32 i32 i32 i32 i32) (param $settings i32) (param i32 i32 i32) (result i32)
    (local $answer i32)
    (local.set $answer (call $list_of (local.get $settings) (i32.const 1) (i32.const 96)))
    ;; k: its one object is a job without an id
    (if (call $is (local.get $settings) (i32.const 0x6b))
      (then (i32.store8 (i32.load offset=4 (local.get $answer)) (i32.const 6))))
    (local.get $answer)))
