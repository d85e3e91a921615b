# lzma-native's sources against the liblzma that the system has. The package's own binding.gyp knows only the 5.2.3 that it brings.
{
  'targets': [
    {
      'target_name': 'lzma_native',
      'sources': [
        '../node_modules/lzma-native/src/util.cpp',
        '../node_modules/lzma-native/src/liblzma-functions.cpp',
        '../node_modules/lzma-native/src/filter-array.cpp',
        '../node_modules/lzma-native/src/lzma-stream.cpp',
        '../node_modules/lzma-native/src/module.cpp',
        '../node_modules/lzma-native/src/mt-options.cpp',
        '../node_modules/lzma-native/src/index-parser.cpp',
      ],
      'include_dirs': ['<!@(node -p "require(\'node-addon-api\').include")'],
      'cflags!': ['-fno-exceptions'],
      'cflags_cc!': ['-fno-exceptions', '-std=gnu++20'],
      'cflags_cc': ['-O3', '-std=gnu++17'],
      'libraries': ['-llzma'],
    },
  ],
}
