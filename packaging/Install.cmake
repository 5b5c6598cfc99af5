# What `cmake --install` puts down, how other builds find it, and the Debian package of it.
# No file holds the prefix: the installed tree can be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(recover_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/recover)

install(TARGETS recover EXPORT recoverTargets FILE_SET HEADERS)
install(EXPORT recoverTargets NAMESPACE recover:: DESTINATION ${recover_config_dir})
configure_package_config_file(packaging/recoverConfig.cmake.in recoverConfig.cmake
  INSTALL_DESTINATION ${recover_config_dir} NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(recoverConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/recoverConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/recoverConfigVersion.cmake
        DESTINATION ${recover_config_dir})

set(recover_pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH recover_prefix_from_pc /${recover_pc_dir} /)
configure_file(packaging/recover.pc.in recover.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/recover.pc DESTINATION ${recover_pc_dir})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/librecover-dev RENAME copyright)

# The daemon, where it was built: its keeper is looked for beside it or in ../lib/recoverd.
if(TARGET recoverd)
  install(TARGETS recoverd recoverctl RUNTIME COMPONENT daemon OPTIONAL)
  if(TARGET recoverd_keeper)
    install(TARGETS recoverd_keeper RUNTIME DESTINATION lib/recoverd COMPONENT daemon OPTIONAL)
  endif()
  install(TARGETS recoverd_backup RUNTIME DESTINATION lib/recoverd COMPONENT daemon OPTIONAL)
  install(FILES packaging/recoverd.service DESTINATION lib/systemd/system COMPONENT daemon)
  install(FILES packaging/man/recoverd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 COMPONENT daemon)
  install(FILES packaging/man/recoverctl.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT daemon)
endif()

set(CPACK_GENERATOR DEB)
# The package is the library's.
set(CPACK_INSTALL_CMAKE_PROJECTS "${CMAKE_BINARY_DIR};${PROJECT_NAME};Unspecified;/")
set(CPACK_PACKAGE_NAME librecover-dev)
set(CPACK_PACKAGE_CONTACT "The recoverd maintainers <maintainers@recoverd.invalid>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libboost-dev (>= 1.81)")  # For <recover/asio.h> alone.
include(CPack)
