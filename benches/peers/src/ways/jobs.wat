;; The jobs in WebAssembly. There is no decoder of PNG.
;;
;; The first page begins with four tables of 256 words for the check sum, which the host fills in by a data segment.
;; The input is at $at, from the second page on; reverse leaves its output in its place.
(module
  (memory (export "memory") 1)
  (data (i32.const 0) "TABLES")

  (func (export "add") (param $a i32) (param $b i32) (result i32)
    (i32.add (local.get $a) (local.get $b)))

  ;; Four bytes at a time by four tables, then the rest one by one.
  (func (export "crc32") (param $at i32) (param $length i32) (result i32)
    (local $crc i32)
    (local $end i32)
    (local.set $crc (i32.const -1))
    (local.set $end (i32.add (local.get $at) (i32.and (local.get $length) (i32.const -4))))
    (block $done
      (loop $words
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $crc (i32.xor (local.get $crc) (i32.load (local.get $at))))
        (local.set $crc
          (i32.xor
            (i32.xor
              (i32.load offset=3072 (i32.shl (i32.and (local.get $crc) (i32.const 255)) (i32.const 2)))
              (i32.load offset=2048 (i32.and (i32.shr_u (local.get $crc) (i32.const 6)) (i32.const 1020))))
            (i32.xor
              (i32.load offset=1024 (i32.and (i32.shr_u (local.get $crc) (i32.const 14)) (i32.const 1020)))
              (i32.load (i32.and (i32.shr_u (local.get $crc) (i32.const 22)) (i32.const 1020))))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $words)))
    (local.set $end (i32.add (local.get $at) (i32.and (local.get $length) (i32.const 3))))
    (block $done
      (loop $bytes
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $crc
          (i32.xor
            (i32.shr_u (local.get $crc) (i32.const 8))
            (i32.load
              (i32.shl
                (i32.and (i32.xor (local.get $crc) (i32.load8_u (local.get $at))) (i32.const 255))
                (i32.const 2)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $bytes)))
    (i32.xor (local.get $crc) (i32.const -1)))

  ;; Swaps sixteen bytes of either end while there are so many, then single ones.
  (func (export "reverse") (param $at i32) (param $length i32)
    (local $end i32)
    (local $vector v128)
    (local $byte i32)
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (block $done
      (loop $vectors
        (br_if $done (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 32)))
        (local.set $end (i32.sub (local.get $end) (i32.const 16)))
        (local.set $vector (v128.load (local.get $at)))
        (v128.store (local.get $at)
          (i8x16.shuffle 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0
            (v128.load (local.get $end)) (v128.load (local.get $end))))
        (v128.store (local.get $end)
          (i8x16.shuffle 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0
            (local.get $vector) (local.get $vector)))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $vectors)))
    (block $done
      (loop $bytes
        (br_if $done (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 2)))
        (local.set $end (i32.sub (local.get $end) (i32.const 1)))
        (local.set $byte (i32.load8_u (local.get $at)))
        (i32.store8 (local.get $at) (i32.load8_u (local.get $end)))
        (i32.store8 (local.get $end) (local.get $byte))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $bytes)))))
